"""The training loop and what becomes of it: the same twice, saved and read back, interrupted, gone wrong."""

import copy
import re
import shutil
import time
from statistics import median

import jaxtyping
import limner
import pytest
import torch
from limner import LimnerError, Loss, Model, PluginHost, hookimpl
from limner.data.batches import to_float
from limner.training import loop as training
from limner.training.loop import set_up
from limner.types import Tokens
from torch.nn.functional import relu


class Watcher:
    """Counts the steps, keeps their losses, and does `act(run)` after each."""

    def __init__(self, act=lambda run: None):
        self.act = act
        self.losses = []
        self.told = []

    @hookimpl
    def limner_training_started(self, run):
        self.run = run
        self.told.append("started")

    @hookimpl
    def limner_step_finished(self, run, losses):
        self.losses.append(dict(losses))
        self.act(run)

    @hookimpl
    def limner_samples_drawn(self, run, images, prompts):
        self.told.append(f"{len(prompts)} samples")
        assert images.shape == (len(prompts), 3, 16, 16)

    @hookimpl
    def limner_checkpoint_saved(self, run, folder):
        self.told.append("saved")

    @hookimpl
    def limner_training_finished(self, run):
        self.told.append("finished")


def brought(**losses: type[Loss]) -> PluginHost:
    """A host with all that is installed and further losses."""
    plugins = PluginHost()
    plugins.register(
        type("Bringing", (), {"limner_losses": staticmethod(hookimpl(lambda: losses, specname="limner_losses"))})()
    )
    assert set(losses) <= set(plugins.components("loss"))
    return plugins


def equal(one: Model, other: Model) -> bool:
    """Whether two models have the same weights, bit by bit."""
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


# --- the same twice -------------------------------------------------------------------------------------------------


def test_one_seed_gives_one_result_and_another_seed_another(recipe):
    first, again = (limner.train(recipe, quiet=True) for _ in range(2))
    assert equal(first, again)
    other = limner.train(recipe, overrides=["training.seed=1"], quiet=True)
    assert not equal(first, other)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_player_threads_are_deterministic_and_change_nothing(recipe, precision):
    overrides, callbacks = [f"training.precision={precision}"], [Watcher() for _ in range(3)]
    limner.train(recipe, overrides=overrides, callbacks=callbacks[:1])
    torch.set_num_threads(2)
    try:
        together, again = (
            limner.train(recipe, overrides=overrides, callbacks=[callback]) for callback in callbacks[1:]
        )
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert equal(together, again)
    # One thread adds gradients up in another order, so the weights differ a little: the first losses do not.
    assert callbacks[0].losses[0] == callbacks[1].losses[0]


def test_callbacks_do_not_change_what_is_learned(recipe):
    watched = limner.train(recipe, overrides=["training.preview_every=0.1"], callbacks=[Watcher()])
    assert equal(watched, limner.train(recipe, quiet=True))


def test_a_saved_model_is_read_back_and_paints_the_same(recipe, tmp_path):
    model = limner.train(recipe, tmp_path / "run", quiet=True)
    loaded = limner.load(tmp_path / "run")
    assert equal(model, loaded)
    assert loaded.recipe == model.recipe
    assert loaded.history == model.history
    prompts = ["a red circle above a blue square", "a white heart"]
    assert torch.equal(model.paint_images(prompts, seed=5), loaded.paint_images(prompts, seed=5))


def test_an_image_depends_on_prompt_seed_and_position_only(trained):
    model = limner.load(trained)
    prompts = [f"a red {shape}" for shape in ("circle", "square", "heart")]
    images = model.paint_images(prompts, seed=5)
    assert torch.allclose(images[:2], model.paint_images([*prompts[:2]], seed=5), atol=1e-6)
    assert not torch.allclose(images, model.paint_images(prompts, seed=6), atol=1e-3)
    many = model.paint_images(["a red circle"] * 70, seed=5)  # more than are painted at a time
    assert len({image.numpy().tobytes() for image in many}) == 70
    same = model.paint("a red circle", n=3, seed=5)
    assert len({image.tobytes() for image in same.images}) == 3


# --- what is told, and when -----------------------------------------------------------------------------------------


def test_hooks_are_called_in_order(recipe, tmp_path):
    callback = Watcher()
    overrides = ["training.steps=6", "training.preview_every=0.6", "training.checkpoint_every=0.3"]
    limner.train(recipe, tmp_path / "run", overrides, callbacks=[callback])
    both = ["saved", "2 samples"]
    assert callback.told == ["started", *both, "saved", *both, *both, "finished"]
    assert len(callback.losses) == 6
    assert callback.run.images == 6 * 8


def test_losses_add_up_with_their_weights(recipe):
    callback = Watcher()
    limner.train(recipe, callbacks=[callback])
    first = callback.losses[0]
    assert first.keys() >= {"hinge/discriminator", "hinge/generator", "r1/discriminator", "noise-reading/generator"}
    assert "r1/generator" not in first
    judge = [first[f"{name}/discriminator"] for name in ("hinge", "sentence-contrast", "noise-reading")]
    assert first["discriminator"] == pytest.approx(sum(judge) + 0.1 * 16 * first["r1/discriminator"], rel=1e-5)
    painter = [first[f"{name}/generator"] for name in ("hinge", "sentence-contrast", "noise-reading")]
    assert first["generator"] == pytest.approx(sum(painter), rel=1e-5)


def test_a_lazy_loss_is_computed_every_nth_step_times_n(recipe):
    class Lazy(Loss):
        every = 3

        def discriminator(self, step):
            return step.real.match.mean() * 0 + 2.0

        def generator(self, step):
            return step.generated.match.mean() * 0 + 1.0

    callback = Watcher()
    recipe["losses"] = {"lazy": {"weight": 0.5}}
    limner.train(recipe, overrides=["training.steps=5"], callbacks=[callback], plugins=brought(lazy=Lazy))
    assert ["lazy/discriminator" in losses for losses in callback.losses] == [True, False, False, True, False]
    assert [losses["discriminator"] for losses in callback.losses] == [0.5 * 3 * 2, 0, 0, 0.5 * 3 * 2, 0]
    assert [losses["generator"] for losses in callback.losses] == [0.5 * 3, 0, 0, 0.5 * 3, 0]


def test_a_loss_of_weight_zero_is_never_computed(recipe):
    class Costly(Loss):
        differentiates_images = True

        def discriminator(self, step):
            raise AssertionError("it was asked for")

        generator = discriminator

    class Plain(Loss):
        def generator(self, step):
            assert not step.real_images[0].requires_grad, "nobody who is asked needs this"
            return step.generated.match.mean()

    callback = Watcher()
    recipe["losses"] = {"costly": {"weight": 0}, "plain": {}}
    limner.train(recipe, callbacks=[callback], plugins=brought(costly=Costly, plain=Plain))
    assert set(callback.losses[0]) == {"plain/generator", "generator", "discriminator"}


def test_history_holds_means_over_ten_steps(recipe):
    callback = Watcher()
    model = limner.train(recipe, overrides=["training.steps=25", "losses.r1=false"], callbacks=[callback])
    assert [row["step"] for row in model.history] == [10, 20]
    mean = sum(losses["generator"] for losses in callback.losses[10:20]) / 10
    assert model.history[1]["generator"] == pytest.approx(mean)
    assert (
        len(model.film) == 14
    )  # at the start, after every second step (a twentieth of the budget is 1.25), at the end
    assert model.film_strip(frames=4).columns == 4


def test_the_rates_fall_to_zero_over_the_last_part_of_the_budget(recipe, monkeypatch):
    rates = {"judge": [], "painter": []}
    move = training.Player.set_lr

    def noted(player, rate):
        rates["judge" if rate in judge else "painter"].append(rate)
        move(player, rate)

    monkeypatch.setattr(training.Player, "set_lr", noted)
    falling = [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    judge = [pytest.approx(0.07 * part) for part in falling]
    changes = ["training.steps=10", "training.decay=0.5", "training.discriminator_lr=0.07"]
    limner.train(recipe, overrides=changes, quiet=True)
    assert rates == {"judge": judge, "painter": [pytest.approx(0.001 * part) for part in falling]}


def test_gradients_are_clipped_to_twice_the_running_norm():
    weights = [torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(3))]
    player = training.Player(weights)
    lengths = (0, 3, 1, 2.5, 14, 0, 100, 2, 1e6, 1) * 12  # more than a hundred
    directions = torch.randn(len(lengths), 7, generator=torch.Generator().manual_seed(0)).double()
    usual, kept = 0.0, []
    for step, (direction, length) in enumerate(zip(directions, lengths), 1):
        gradient = direction / direction.norm() * length
        pieces = [gradient[:4].view(2, 2).float(), gradient[4:].float()]
        for weight, piece in zip(weights, pieces):
            weight.grad = piece
        before = torch.cat([piece.flatten() for piece in pieces])
        player.clip(pieces)
        longest = 2 * (usual or length)
        usual += (min(length, longest) - usual) / min(step, 100)
        found = torch.cat([piece.flatten() for piece in pieces])
        expected = gradient * min(1, longest / length) if length else gradient
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
        kept.append(torch.equal(found, before))
    assert kept[:10] == [True, True, True, True, False, True, False, True, False, True]
    assert player.running_norm.item() == pytest.approx(usual, rel=1e-5)


def test_one_huge_gradient_does_not_undo_a_training():
    """Adam remembers the square of a gradient: after one of a million it would hardly move for long."""

    def after(factor):
        player = training.Player([weight := torch.nn.Parameter(torch.zeros(5))])
        for step in range(200):
            weight.grad = torch.ones(5) * (factor if step == 50 else 1)
            player.set_lr(0.001)
            player.step()
        return weight.detach()

    assert torch.equal(after(1e6), after(1e3))
    assert (after(1e6) / after(1) - 1).abs().max() < 0.05


def test_a_budget_in_seconds_ends_in_time(recipe):
    callback = Watcher()
    start = time.perf_counter()
    limner.train(recipe, overrides=["training.seconds=0.3", "training.preview_every=0.5"], callbacks=[callback])
    assert callback.run.seconds >= 0.3
    assert callback.run.step == len(callback.losses) > 1
    assert time.perf_counter() - start < 5


def test_bfloat16_trains_too(recipe):
    callback = Watcher()
    model = limner.train(recipe, overrides=["training.precision=bfloat16"], callbacks=[callback])
    assert all(value == value for losses in callback.losses for value in losses.values())
    assert all(weights.dtype == torch.float32 for weights in model.state_dict().values())
    assert not equal(model, limner.train(recipe, quiet=True))


# --- interrupted, or gone wrong -------------------------------------------------------------------------------------


def test_ctrl_c_ends_cleanly_with_the_weights_saved(recipe, tmp_path):
    def interrupt(run):
        if run.step == 2:
            raise KeyboardInterrupt

    callback = Watcher(interrupt)
    model = limner.train(recipe, tmp_path / "run", ["training.steps=1000"], callbacks=[callback])
    assert callback.run.interrupted
    assert callback.told[-3:] == ["saved", "2 samples", "finished"]
    assert equal(model, limner.load(tmp_path / "run"))
    assert equal(model, limner.train(recipe, overrides=["training.steps=2", "training.decay=0"], quiet=True))


def test_a_hook_that_raises_is_reported_once(recipe, capsys):
    class Failing:
        @hookimpl
        def limner_step_finished(self, run):
            raise ZeroDivisionError("no tracker\nhere")

    callback, plugins = Watcher(), PluginHost()
    limner.train(recipe, callbacks=[Failing(), callback], plugins=plugins)
    assert len(callback.losses) == 3
    assert callback.told[-1] == "finished"
    assert capsys.readouterr().err == (
        "plugin 'Failing' (registered by hand) failed in limner_step_finished and is left out from now on: "
        "ZeroDivisionError: no tracker here\n"
    )


class Exploding(Loss):
    """Is what `value` makes of the scores at the third step, and their mean before."""

    def __init__(self, sizes):
        super().__init__(sizes)
        self.calls = 0

    def value(self, mean):
        raise NotImplementedError

    def discriminator(self, step):
        return step.real.match.mean()

    def generator(self, step):
        self.calls += 1
        mean = step.generated.match.mean()
        return self.value(mean) if self.calls == 3 else mean


class NotANumber(Exploding):
    """The loss itself is not a number."""

    def value(self, mean):
        return mean * float("nan")


class SteepNotANumber(Exploding):
    """The loss is 0, its gradient is not a number: what the square root does at 0."""

    def value(self, mean):
        return (mean - mean.detach()).square().sqrt()


@pytest.mark.parametrize("loss", [NotANumber, SteepNotANumber])
@pytest.mark.parametrize("steps", [3, 40])
def test_a_loss_that_is_not_finite_restores_the_good_weights(recipe, tmp_path, loss, steps):
    recipe["losses"] = {"exploding": {}}
    callback, plugins = Watcher(), brought(exploding=loss)
    with pytest.raises(LimnerError, match=r"At step \d+ .* training stopped; the weights in .*run are those before"):
        limner.train(recipe, tmp_path / "run", [f"training.steps={steps}"], callbacks=[callback], plugins=plugins)
    kept = Model.load(tmp_path / "run", plugins)
    assert all(weights.isfinite().all() for weights in kept.state_dict().values())
    assert equal(kept, callback.run.model)
    assert len(callback.losses) <= 4


def test_an_existing_folder_is_never_overwritten(recipe, trained, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (trained, tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(LimnerError, match=rf"{re.escape(str(folder))}.* name another one"):
            limner.train(recipe, folder, quiet=True)


# --- run folders that cannot be read --------------------------------------------------------------------------------


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


DAMAGES = {
    "missing folder": (shutil.rmtree, "There is no run folder"),
    "foreign folder": (lambda run: (run / "recipe.toml").unlink(), "is not a run folder: it has no recipe.toml"),
    "no weights yet": (lambda run: (run / "weights.safetensors").unlink(), "only half written: .*weights.safetensors"),
    "no tokenizer yet": (lambda run: shutil.rmtree(run / "tokenizer"), "only half written: .*tokenizer/words.json"),
    "cut weights": (lambda run: cut(run / "weights.safetensors"), "weights.safetensors is damaged"),
    "empty weights": (lambda run: cut(run / "weights.safetensors", 0), "weights.safetensors is damaged"),
    "cut recipe": (lambda run: cut(run / "recipe.toml"), "recipe.toml"),
    "cut words": (lambda run: cut(run / "tokenizer" / "words.json"), "tokenizer in .* is damaged"),
    "cut tokenizer": (lambda run: cut(run / "tokenizer" / "tokenizer.json"), "tokenizer in .* is damaged"),
    "no tokens": (lambda run: (run / "tokenizer" / "tokenizer.json").unlink(), "tokenizer in .* is damaged"),
    "cut history": (lambda run: (run / "history.json").write_text("[{"), "history.json is damaged"),
    "other weights": (
        lambda run: (run / "recipe.toml").write_text((run / "recipe.toml").read_text().replace("head = 8", "head = 9")),
        "does not fit the recipe beside it: .*size mismatch",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_folder_gives_one_sentence(trained, tmp_path, damage, message):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    damage(run)
    with pytest.raises(LimnerError, match=message) as caught:
        limner.load(run)
    assert str(run) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_half_written_file_of_a_killed_training_is_harmless(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "weights.safetensors.partial").write_bytes(b"half of it")
    assert equal(limner.load(run), limner.load(trained))


# --- the loop computes nothing twice and costs next to nothing ------------------------------------------------------


def test_everything_is_computed_once_per_step(plugins, recipe):
    from limner import Recipe

    recipe["losses"] |= {"relativistic": {}, "minimax": {}, "matching-aware-penalty": {}}
    recipe["data"]["count"] = 8
    run = set_up(plugins, Recipe.read(plugins, recipe))
    calls = {}

    def count(module, method):
        real = getattr(module, method)

        def counted(*arguments):
            calls[name] = calls.get(name, 0) + 1
            return real(*arguments)

        name = f"{type(module).__name__}.{method}" if method != "forward" else name_of[module]
        setattr(module, method, counted)

    painting, judging = run.networks.conditional_generator, run.networks.conditional_discriminator
    assert judging is not None
    name_of = {painting.generator: "painter paints", judging.encoder: "both read"}
    for module in name_of:
        count(module, "forward")
    count(judging.discriminator, "look")
    count(judging.discriminator, "judge")
    step = training.new_step(run, next(iter(run.batches)), torch.randn(8, 8))
    for player in ("discriminator", "generator"):
        training.losses_of_step(run, step, player)
    assert calls == {
        "painter paints": 1,
        "both read": 2,  # the captions, and their distractors
        "ConvolutionalDiscriminator.look": 2,  # real and painted images
        "ConvolutionalDiscriminator.judge": 3,  # real, painted and mismatched pairs
    }


class BareLoop:
    """A training step as one would write it by hand, for one loss and one data set: a measure for the framework."""

    def __init__(self, run):
        self.networks = copy.deepcopy(run.networks)
        self.average = copy.deepcopy(run.networks.conditional_generator)
        self.batches = run.batches
        self.judge_weights = list(self.networks.conditional_discriminator.parameters())
        self.painter_weights = list(self.networks.conditional_generator.generator.parameters())
        self.judge_optimizer = torch.optim.Adam(self.judge_weights, betas=(0.0, 0.99), fused=True)
        self.painter_optimizer = torch.optim.Adam(self.painter_weights, betas=(0.0, 0.99), fused=True)
        self.random = torch.Generator().manual_seed(0)

    def step(self):
        batches, size = self.batches, self.batches.batch_size
        rows = torch.randint(len(batches.pixels), (size,), generator=self.random)
        images = to_float(batches.pixels[rows])
        tokens = batches.tokens[rows]
        tokens = Tokens(tokens.ids[:, : int(tokens.mask.sum(1).max())], tokens.mask[:, : int(tokens.mask.sum(1).max())])

        painting, judging = self.networks.conditional_generator, self.networks.conditional_discriminator
        text = judging.encoder(tokens)
        painted = painting.generator(torch.randn(size, 32, generator=self.random), text.detach())
        seen = judging.discriminator.look([images])
        real = judging.discriminator.judge(seen, text).match
        mismatched = judging.discriminator.judge(seen, text[torch.arange(size).roll(1)]).match
        generated = judging.discriminator(painted, text).match

        false = relu(1 + generated).mean() + relu(1 + mismatched).mean()
        judge_loss = relu(1 - real).mean() + false / 2
        painter_loss = -generated.mean()
        judge_gradients = torch.autograd.grad(judge_loss, self.judge_weights, retain_graph=True, allow_unused=True)
        painter_gradients = torch.autograd.grad(painter_loss, self.painter_weights, allow_unused=True)
        for optimizer, weights, gradients in (
            (self.judge_optimizer, self.judge_weights, judge_gradients),
            (self.painter_optimizer, self.painter_weights, painter_gradients),
        ):
            for weight, gradient in zip(weights, gradients):
                weight.grad = gradient
            optimizer.step()
        with torch.no_grad():
            averaged = list(self.average.parameters())
            torch._foreach_lerp_(averaged, list(painting.parameters()), 0.01)  # pyright: ignore[reportPrivateImportUsage]
        return judge_loss.item(), painter_loss.item()


class Race:
    """Makes a bare step after each one of the training loop, and times both."""

    def __init__(self):
        self.loop, self.bare = [], []

    @hookimpl
    def limner_training_started(self, run):
        self.rival = BareLoop(run)

    @hookimpl(trylast=True)
    def limner_step_finished(self, run):
        now = time.perf_counter()
        if run.step > 1:
            self.loop.append(now - self.since)
        self.rival.step()
        self.since = time.perf_counter()
        self.bare.append(self.since - now)


@pytest.mark.slow
def test_the_loop_costs_at_most_five_percent(recipe):
    recipe |= {
        "image_size": 32,
        "data": {"name": "scenes", "count": 500},
        "encoder": {"name": "mlp"},
        "generator": {"name": "convolutional"},
        "discriminator": {"name": "convolutional"},
        "losses": {"hinge": {}},
        "training": {
            "steps": 25,
            "batch_size": 32,
            "precision": "float32",
            "preview_every": 1.0,
            "checkpoint_every": 1.0,
        },
    }
    jaxtyping.config.update("jaxtyping_disable", True)  # shapes are checked in tests only
    try:
        ratios = []
        for _ in range(3):  # other work on the machine may spoil a race
            race = Race()
            limner.train(recipe, callbacks=[race])
            ratios.append(median(race.loop) / median(race.bare))
            if ratios[-1] <= 1.05:
                break
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    assert min(ratios) <= 1.05
