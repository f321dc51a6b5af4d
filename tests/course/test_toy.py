"""`limner.toy`: the game in the plane, its picture, and its controls."""

import asyncio
import sys
from dataclasses import replace

import limner
import matplotlib.pyplot as plt
import pytest
import torch
from limner import LimnerError
from limner.course.toy_game import BATCH, CURVES, EDGE, ToyGame, ToySettings, losses_of

COLLAPSE = ToySettings(penalty=0.0, momentum=0.95)


@pytest.fixture
def view():
    """The game in a notebook, before its first step."""
    pytest.importorskip("ipywidgets", reason="the controls need pip install limner[lab]")
    return limner.toy()


# --- the game -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["non-saturating", "minimax", "hinge", "wasserstein"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_every_loss_trains_both_players(loss, optimizer):
    game = ToyGame(ToySettings(loss=loss, optimizer=optimizer, momentum=0.5))
    before = [weight.clone() for part in (game.generator, game.discriminator) for weight in part.parameters()]
    game.step(2)
    after = [weight for part in (game.generator, game.discriminator) for weight in part.parameters()]
    same = [bool((old == new).all()) for old, new in zip(before, after)]
    assert sum(same) <= 1, "only the last bias of the Wasserstein discriminator has no gradient"
    assert len(game.history) == game.steps == 2


@pytest.mark.parametrize("data", CURVES)
def test_real_points_are_close_to_their_modes(data):
    game = ToyGame(ToySettings(data=data))
    real, curve = game.real(), game.curve
    assert torch.equal(real, game.real())
    assert real.abs().max() < EDGE
    distance, mode = torch.cdist(real, curve.centers()).min(1)
    assert (distance < curve.radius).float().mean() > 0.95
    assert len(mode.unique()) == curve.modes
    assert curve.sample(BATCH, game.random).shape == (BATCH, 2)


def test_what_is_seen_has_the_right_shape_and_changes_nothing():
    game = ToyGame()
    game.step(3)
    state = game.random.get_state()
    field, pull = game.field(10), game.pull()
    assert field.shape == (10, 10)
    assert 0 <= field.min() <= field.max() <= 1
    assert pull.shape == game.samples().shape == (400, 2)
    assert 0 <= game.covered() <= 8
    assert game.shares().sum() <= 1
    assert torch.equal(state, game.random.get_state())


def test_the_pull_is_minus_the_gradient_of_the_loss():
    game = ToyGame(ToySettings(loss="hinge"))
    points, step = game.samples(), 1e-3
    with torch.no_grad():
        slope = [
            (game.discriminator(points + step * move) - game.discriminator(points - step * move)).squeeze(1)
            / (2 * step)
            for move in torch.eye(2)
        ]
    close = (game.pull() - torch.stack(slope, 1)).abs() < 1e-3
    assert close.float().mean() > 0.95, "apart from points at a kink of the network"


def test_minimax_has_no_pull_where_the_discriminator_is_sure():
    score = torch.full((4, 1), -12.0, requires_grad=True)
    pulls = {}
    for loss in ("minimax", "non-saturating"):
        (gradient,) = torch.autograd.grad(losses_of(loss, score.detach(), score)[1], score)
        pulls[loss] = -gradient.sum().item()
    assert pulls["minimax"] < 1e-4
    assert pulls["non-saturating"] == pytest.approx(1, abs=1e-4)


def test_equal_seeds_play_equal_games_and_reset_starts_again():
    first, second = ToyGame(seed=1), ToyGame(seed=1)
    first.step(3)
    second.step(1)
    second.step(2)
    assert torch.equal(first.samples(), second.samples())
    first.reset()
    first.step(3)
    assert torch.equal(first.samples(), second.samples())
    assert not torch.equal(first.samples(), ToyGame(seed=2).samples())


def test_a_game_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    ToyGame(seed=5).step(2)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.slow
def test_mode_collapse_is_caused_and_cured():
    game = ToyGame(COLLAPSE)
    game.step(300)
    assert game.covered() <= 2
    game.settings = ToySettings()
    game.step(500)
    assert game.covered() >= 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "nonsense"}, "loss: there is no 'nonsense'; there is non-saturating, minimax"),
        ({"momentum": 1.0}, "momentum: expected a number from 0 to 0.999, got 1.0"),
        ({"penalty": -1.0}, "penalty: expected a number from 0 to 1000, got -1.0"),
        ({"penalty": float("nan")}, "penalty: expected a number"),
        ({"penalty": "much"}, "penalty: expected a number from 0 to 1000, got 'much'"),
        ({"discriminator_steps": 0}, "discriminator_steps: expected a number from 1 to 100, got 0"),
        ({"rate": 1.0}, "rate: limner.toy has no such setting; it has data, loss"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(LimnerError, match=message):
        limner.toy(**settings)


# --- the controls ---------------------------------------------------------------------------------------------------


def test_without_ipywidgets_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(LimnerError, match=r'^limner.toy needs ipywidgets: pip install "limner\[lab\]"\.$'):
        limner.toy()


def test_buttons_step_and_reset(view):
    first = bytes(view.image.value)
    assert first.startswith(b"\x89PNG")
    view.controls["step"].click()
    assert view.game.steps == 1
    assert bytes(view.image.value) != first
    view.controls["reset"].click()
    assert view.game.steps == 0
    assert plt.get_fignums() == [], "no figure stays open"


def test_controls_change_the_settings(view):
    view.controls["loss"].value = "hinge"
    view.controls["generator_rate"].value = 0.01
    assert (view.game.settings.loss, view.game.settings.generator_rate) == ("hinge", 0.01)
    for data in ("moons", "grid"):  # eight modes, then nine
        view.controls["data"].value = data
        assert view.game.curve is CURVES[data]


def test_a_situation_sets_the_controls_and_starts_again_unless_it_is_a_cure(view):
    view.controls["step"].click()
    view.controls["data"].value = "grid"
    view.controls["situation"].value = "mode collapse"
    assert view.game.settings == replace(COLLAPSE, data="grid")
    assert view.controls["momentum"].value == 0.95
    assert view.game.steps == 0
    view.controls["step"].click()
    view.controls["situation"].value = "healthy"
    assert view.game.settings == ToySettings(data="grid")
    assert view.game.steps == 1


def test_playing_goes_on_until_it_is_paused(view):
    view.controls["speed"].value = 1

    async def play() -> int:
        view.controls["play"].value = True
        while view.game.steps < 3:
            await asyncio.sleep(0.01)
        view.controls["play"].value = False
        paused = view.game.steps
        await asyncio.sleep(0.2)
        return paused

    assert asyncio.run(play()) == view.game.steps
    assert view.playing is None


def test_a_new_game_pauses_the_one_that_plays(view):
    async def play() -> None:
        view.controls["play"].value = True
        assert view.controls["play"].description == "pause"
        limner.toy()
        assert view.controls["play"].description == "play"

    asyncio.run(play())
    assert view.playing is None


def test_a_game_that_diverged_is_shown_and_can_be_reset(view):
    view.controls["optimizer"].value = "sgd"
    view.controls["loss"].value = "wasserstein"
    view.game.settings = replace(view.game.settings, generator_rate=1000.0, discriminator_rate=1000.0)
    view.advance(20)
    assert not view.game.samples().isfinite().all()
    assert "diverged" in view.picture.plane.get_title()
    view.controls["reset"].click()
    assert "diverged" not in view.picture.plane.get_title()


def test_where_nothing_runs_in_the_background_play_makes_a_frame(view):
    view.controls["play"].value = True
    assert view.game.steps == view.controls["speed"].value
    assert view.controls["play"].value is False


def test_a_page_without_widgets_shows_the_picture(view):
    shown = view._repr_mimebundle_()
    assert shown["image/png"] == bytes(view.image.value)
    assert "application/vnd.jupyter.widget-view+json" in shown
