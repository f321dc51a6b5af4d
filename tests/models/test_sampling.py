"""Sampling: noise near its mean, the best and the most different of many, several models as one, snapshots."""

import math
from statistics import NormalDist

import limner
import pytest
import torch
from limner import Ensemble, LimnerError, Metric, Pictures
from limner.models.sampling import most_different, truncate
from limner.recipes.schema import Sampling

PROMPT = "a red circle above a blue square"


@pytest.fixture(scope="module")
def model(trained):
    return limner.load(trained)


@pytest.fixture
def others(tmp_path, recipe):
    """Two more models of the tiny recipe, trained from other seeds."""
    for seed in (1, 2):
        limner.train(recipe, tmp_path / f"other-{seed}", [f"training.seed={seed}"], quiet=True)
    return [tmp_path / "other-1", tmp_path / "other-2"]


def pixels(pictures: Pictures) -> list[bytes]:
    return [image.tobytes() for image in pictures.images]


# --- truncation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.3, 1.0, 2.5])
def test_truncation_is_its_formula_and_stays_within(threshold):
    noise = torch.randn(500, generator=torch.Generator().manual_seed(0))
    normal = NormalDist()
    low, high = normal.cdf(-threshold), normal.cdf(threshold)
    by_hand = [normal.inv_cdf(low + (high - low) * normal.cdf(z)) for z in noise.double().tolist()]
    truncated = truncate(noise, threshold)
    assert torch.allclose(truncated, torch.tensor(by_hand), atol=1e-5)
    assert truncated.abs().max() <= threshold
    assert (truncated.argsort() == noise.argsort()).all()


def test_a_far_threshold_changes_nothing():
    noise = torch.tensor([-40.0, -1.0, 0.0, 2.0, 40.0])
    assert torch.allclose(truncate(noise[1:4], 9.0), noise[1:4], atol=1e-4)
    assert truncate(noise, 1.0).tolist() == pytest.approx(
        [-1, truncate(noise[1:2], 1.0).item(), 0, *truncate(noise[3:], 1.0).tolist()]
    )


def test_more_truncation_makes_the_images_of_a_prompt_more_alike(model):
    spreads = [
        model.sample([PROMPT] * 32, seed=0, truncation=t).std(0).mean().item()
        for t in (0.05, 0.25, 0.5, 1.0, 2.0, None)
    ]
    assert spreads == sorted(spreads)
    assert spreads[0] < 0.2 * spreads[-1]


# --- many samples ---------------------------------------------------------------------------------------------------


def test_the_most_different_are_those_that_lie_farthest_apart():
    values = torch.tensor([0.0, 0.01, 0.5, 0.98, 1.0, 0.51])
    images = values[:, None, None, None].expand(-1, 3, 2, 2)
    assert set(most_different(images, 2).tolist()) == {0, 4}
    assert set(values[most_different(images, 3)].tolist()) - {0.0, 1.0} <= {0.5, 0.5099999904632568}
    assert len(set(most_different(images, 6).tolist())) == 6
    assert len(most_different(images[:1], 1)) == 1


def test_the_best_of_many_come_best_first_by_the_models_score(model):
    every = model.paint(PROMPT, n=12, seed=5)
    images = model.sample([PROMPT] * 12, seed=5)
    order = model.score(images, [PROMPT] * 12, "matching").argsort(descending=True)
    best = model.paint(PROMPT, n=3, seed=5, best_of=12)
    assert pixels(best) == [pixels(every)[place] for place in order[:3]]
    different = model.paint([PROMPT, PROMPT], n=3, seed=5, best_of=6, by="diversity")
    assert pixels(different)[:3] == [pixels(every)[int(place)] for place in most_different(images[:6], 3)]


def test_a_recipe_may_say_that_each_image_is_the_best_of_several(model):
    images = model.sample([PROMPT] * 4 + ["a green square above a red circle"] * 4, seed=2)
    prompts = [PROMPT, "a green square above a red circle"]
    scores = [model.score(group, [text] * 4, "matching") for group, text in zip(images.split(4), prompts)]
    best = torch.stack([group[score.argmax()] for group, score in zip(images.split(4), scores)])
    assert torch.equal(model.paint_images(prompts, 2, sampling=Sampling(candidates=4)), best)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"best_of": 2, "n": 3}, "best_of: 2 images are fewer than the 3 to keep"),
        ({"best_of": 4, "size": 8}, "at 16 pixels only, not at 8"),
        ({"best_of": 4, "by": "caption"}, "train one with the loss 'cycle'"),
        ({"best_of": 4, "by": "matchin"}, "no 'matchin' that scores images.*there is matching, caption"),
        ({"truncation": 0.0}, "truncation: expected how far the noise may reach, above 0, got 0.0"),
    ],
)
def test_what_cannot_be_sampled_is_told(model, options, message):
    with pytest.raises(LimnerError, match=message):
        model.paint(PROMPT, **options)


def test_a_recipe_that_cannot_choose_is_refused_before_any_work(recipe):
    recipe["sampling"] = {"candidates": 4, "by": "caption"}
    with pytest.raises(LimnerError, match=r"sampling\.by: this model cannot score images by 'caption'"):
        limner.train(recipe, quiet=True)
    recipe["losses"] = {"hinge": {}}
    with pytest.raises(LimnerError, match=r"sampling\.by: no loss of this model can score images"):
        limner.train(recipe, quiet=True)


# --- ensembles and snapshots ------------------------------------------------------------------------------------------


def test_an_ensemble_picks_members_by_weight_and_seed(model, others):
    ensemble = Ensemble([model, *others], weights=[2, 1, 1])
    painters = ensemble.painters(4000, seed=0)
    shares = [painters.count(member) / 4000 for member in range(3)]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=4 * math.sqrt(0.25 / 4000))
    assert pixels(ensemble.paint(PROMPT, n=6, seed=1)) == pixels(ensemble.paint(PROMPT, n=6, seed=1))
    painters = ensemble.painters(6, seed=1)
    assert len(set(painters)) > 1
    images = ensemble.sample([PROMPT] * 6, seed=1)
    for number, member in enumerate(ensemble.members):
        mine = [place for place, painter in enumerate(painters) if painter == number]
        torch.testing.assert_close(images[mine], member.sample([PROMPT] * 6, seed=1)[mine])
    only_first = Ensemble([model, *others], weights=[1, 0, 0])
    assert torch.equal(only_first.sample([PROMPT] * 6, seed=1), model.sample([PROMPT] * 6, seed=1))


def test_an_ensemble_scores_and_is_measured_as_a_model_is(model, others, recipe):
    ensemble = Ensemble([model, *others])
    images = ensemble.sample([PROMPT] * 3, seed=0)
    scores = torch.stack([member.score(images, [PROMPT] * 3) for member in ensemble.members])
    assert torch.allclose(ensemble.score(images, [PROMPT] * 3), scores.mean(0))
    assert len(ensemble.paint(PROMPT, n=2, best_of=4)) == 2
    metrics = {"scene-diversity": {"name": "scene-diversity", "prompts": 2, "images": 4}}
    ensemble.recipe = limner.Recipe.check(model.plugins, {**recipe, "metrics": metrics}, "the recipe")
    assert set(ensemble.evaluate().scores) == {"diversity"}


def test_what_is_no_ensemble_is_told(model, tmp_path, recipe):
    with pytest.raises(LimnerError, match="needs at least one model"):
        Ensemble([])
    with pytest.raises(LimnerError, match=r"expected 1 numbers from 0 up.*got \[1.0, 2.0\]"):
        Ensemble([model], weights=[1.0, 2.0])
    with pytest.raises(LimnerError, match="not all 0"):
        Ensemble([model], weights=[0.0])
    larger = limner.train({**recipe, "image_size": 32, "training": {"steps": 1, "batch_size": 8}}, quiet=True)
    with pytest.raises(LimnerError, match=r"must paint one size; these paint \[16, 32\]"):
        Ensemble([model, larger])


def test_snapshots_are_run_folders_of_the_model_as_it_was(tmp_path, recipe):
    recipe["training"] |= {"steps": 10, "snapshots": [0.5, 0.2]}
    last = limner.train(recipe, tmp_path / "run", quiet=True)
    assert sorted(path.name for path in (tmp_path / "run" / "snapshots").iterdir()) == ["0.2", "0.5"]
    early, late = (limner.load(tmp_path / "run" / "snapshots" / part) for part in ("0.2", "0.5"))
    drawn = [member.sample([PROMPT], 0) for member in (early, late, last)]
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[1], drawn[2])
    assert len(Ensemble([tmp_path / "run", early, late]).paint(PROMPT, n=2)) == 2


# --- measuring --------------------------------------------------------------------------------------------------------


class Picky(Metric):
    """Cannot measure anything."""

    def measure(self, painter):
        raise LimnerError("this is not for me.")


class Plain(Metric):
    """Counts the images it gets."""

    about = "three prompts"

    def measure(self, painter):
        return {"images": float(len(painter.paint_images([PROMPT] * 3, 0)))}


def test_every_installed_metric_that_can_measures_the_model(trained):
    from limner import PluginHost, hookimpl

    class Brings:
        @hookimpl
        def limner_metrics(self):
            return {"picky": Picky, "plain": Plain}

    plugins = PluginHost()
    plugins.register(Brings())
    model = limner.Model.load(trained, plugins)
    report = model.evaluate(metrics=["all"])
    assert report["images"] == 3
    assert report["real/Vendi score"] > 1
    assert "plain: three prompts" in report.notes
    assert "picky: left out, this is not for me." in report.notes
    assert any(note.startswith("scene-judge: 500 prompts") for note in report.notes)
    assert all(note in str(report).replace("\n", " ") for note in ("plain: three prompts",))
    with pytest.raises(LimnerError, match="this is not for me"):
        model.evaluate(metrics=["picky"])


# --- the noise of several prompts -----------------------------------------------------------------------------------


OTHER = "a green square above a red circle"


def test_image_k_of_every_prompt_has_the_same_noise(model, others):
    for painter in (model, Ensemble([model, *others])):
        both = painter.paint([OTHER, PROMPT], n=3, seed=5)
        alone = painter.paint(PROMPT, n=3, seed=5)
        assert [image.tobytes() for image in both.images[3:]] == [image.tobytes() for image in alone.images]


def test_the_best_of_several_prompts_are_those_of_each_alone(model):
    both = model.paint([OTHER, PROMPT], n=2, seed=5, best_of=4)
    alone = model.paint(PROMPT, n=2, seed=5, best_of=4)
    assert [image.tobytes() for image in both.images[2:]] == [image.tobytes() for image in alone.images]


def test_metrics_get_noise_of_its_own_for_every_image(model):
    images = model.paint_images([PROMPT] * 3, 0)
    assert not torch.equal(images[0], images[1])
    assert torch.equal(images, model.paint_images([PROMPT] * 3, 0, draws=[0, 1, 2]))


@pytest.mark.slow
def test_scoring_frees_each_batch_before_the_next(model, monkeypatch):
    import gc
    import weakref

    from limner.models import scoring

    alive: list[weakref.ref] = []
    step = scoring._step

    def counting(*arguments):
        gc.collect()
        assert sum(ref() is not None for ref in alive) <= 1
        made = step(*arguments)
        alive.append(weakref.ref(made))
        return made

    monkeypatch.setattr(scoring, "ROWS", 2)
    monkeypatch.setattr(scoring, "_step", counting)
    images = model.paint_images([PROMPT] * 8, 0)
    model.score(images, [PROMPT] * 8)
    assert len(alive) == 4


def test_by_without_best_of_is_an_error(model):
    with pytest.raises(LimnerError, match=r"by: 'caption' chooses the best of several images; .* best_of"):
        model.paint(PROMPT, by="caption")
