"""The speedrun: how many steps and seconds a recipe needs until its images hold a target, judged during training.

Every so many steps, a first sample of images is judged. Its share of right images is noisy: with 500 images, the
standard error at .95 is .010, and the best of twenty looks is a lucky one. So a look at which the target is reached
counts only if a second, larger sample reaches it as well. That has other prompts and other noise, which differ from
step to step, and with 2,000 images its standard error is .005. The time of judging does not count.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from limner.comparisons.provenance import machine, versions
from limner.comparisons.results import mean_and_spread
from limner.comparisons.train_variants import portable
from limner.errors import DivergedError, LimnerError
from limner.files import reading, replace_file, writing
from limner.hooks import hookimpl
from limner.models.painter import measure
from limner.plugins import PluginHost, host
from limner.recipes.build import pretrained_model
from limner.recipes.merging import resolve
from limner.recipes.schema import Recipe, Sampling
from limner.shell import shell_join
from limner.training.callbacks import default_callbacks
from limner.training.loop import train
from limner.training.run import Run

TRACK, TARGET, EVERY = "scenes-32", 0.95, 100
"""The recipe whose data all train on, the share of right images to reach, and the steps from one look to the next."""
LOOK, CONFIRM = 500, 2000
"""Images of the first sample, and of the one that confirms it."""
JUDGE, SCORE, HELD_OUT = "scene-judge", "trained/exact", "held out/exact"


@dataclass(frozen=True)
class Look:
    """What the judge saw after a step: shares of right images in the first sample and, if there was one, in the second.

    `seconds` are those of training until then.
    """

    step: int
    seconds: float
    exact: float
    held_out: float
    confirmed: float | None = None


@dataclass(frozen=True)
class SeedRun:
    """The training with one seed: its looks, and at which one the target was held; None if it never was."""

    seed: int
    looks: list[Look]
    reached: int | None = None  # the step
    problem: str | None = None  # if training diverged

    @property
    def seconds(self) -> float | None:
        """Seconds of training until the target was held."""
        return self.looks[-1].seconds if self.reached is not None else None


@dataclass(frozen=True)
class Speedrun:
    """A recipe, the rules by which it was judged, where it ran, and what came out for each seed."""

    command: str
    date: str
    rules: dict[str, Any]
    recipe: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, Any]
    seeds: list[SeedRun] = field(default_factory=list)

    def figures(self) -> tuple[list[int], list[float]]:
        """The steps and the seconds of the seeds that held the target."""
        held = [run for run in self.seeds if run.reached is not None]
        return [cast(int, run.reached) for run in held], [cast(float, run.seconds) for run in held]

    def lines(self) -> list[str]:
        """A sentence for each seed, and one for all."""
        return [*map(self._line, self.seeds), self.summary()]

    def _line(self, run: SeedRun) -> str:
        if run.problem:
            return f"Seed {run.seed} failed: {run.problem}"
        if run.reached is None:
            best = max(look.exact for look in run.looks)
            return f"Seed {run.seed} does not hold {self.rules['target']:g}; the best look saw {best:.3f}."
        look, (small, large) = run.looks[-1], (self.rules["look"], self.rules["confirm"])
        return (
            f"Seed {run.seed} holds {self.rules['target']:g} after {run.reached:,} steps and {look.seconds:,.0f} s: "
            f"{look.exact:.3f} of {small:,} images, then {look.confirmed:.3f} of {large:,} others."
        )

    def summary(self) -> str:
        """The result in a sentence."""
        steps, seconds = self.figures()
        held = f"{len(steps)} of {len(self.seeds)} seeds hold {self.rules['target']:g}"
        if not steps:
            return f"{held} within {self.recipe['training']['steps']:,} steps."
        return f"{held}, after {mean_and_spread(steps)} steps and {mean_and_spread(seconds)} s of training."

    def write(self, file: Path) -> None:
        """Write the log."""
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, json.dumps(asdict(self), indent=1, ensure_ascii=False).encode())

    @classmethod
    def read(cls, file: Path) -> "Speedrun":
        """Read a log.

        Raises:
            LimnerError: if it is not one, or is damaged.
        """
        try:
            with reading(file):
                table = json.loads(file.read_text(encoding="utf-8"))
            runs = [SeedRun(**{**run, "looks": [Look(**look) for look in run["looks"]]}) for run in table["seeds"]]
            return cls(**{**table, "seeds": runs})
        except (ValueError, KeyError, TypeError) as error:
            raise LimnerError(
                f"{file} is no log of a speedrun, or is damaged: {type(error).__name__}: {error}. Name another file."
            ) from None


def speedrun(
    recipe: str | Path | Mapping[str, Any],
    seeds: int = 3,
    *,
    out: str | Path,
    track: str | Mapping[str, Any] = TRACK,
    target: float = TARGET,
    every: int = EVERY,
    look: int = LOOK,
    confirm: int = CONFIRM,
    overrides: Sequence[str] = (),
    quiet: bool = False,
    plugins: PluginHost | None = None,
) -> Speedrun:
    """Train a recipe with several seeds until its images hold a target, or until its budget is used.

    Args:
        recipe: a recipe's name, a TOML file, or a dict.
        seeds: how many; `training.seed` is 0, 1, ...
        out: the log, a JSON file. It is written after each seed; called again, the missing seeds are added.
        track: the recipe whose data and image size count.
        target: the share of images that must be right in everything.
        every: steps from one look to the next. A record uses the defaults of this and of all that follow.
        look: images of the first sample.
        confirm: images of the second, which confirms it.
        overrides: changes to the recipe.
        quiet: show no progress bar.
        plugins: the plugin host; by default all that is installed.

    Raises:
        LimnerError: before any work, if the recipe is wrong or against the rules, or if `out` holds another speedrun.
    """
    plugins, file = plugins or host(), Path(out)
    checked = Recipe.check(plugins, resolve(plugins, recipe, overrides), "the recipe")
    check_rules(checked, Recipe.read(plugins, track))
    rules = {"target": target, "every": every, "look": look, "confirm": confirm}
    found = Speedrun(
        command=_command("RECIPE" if isinstance(recipe, Mapping) else portable(recipe), overrides, seeds, file),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        rules=rules,
        recipe=checked.table(),
        machine=machine(),
        versions=versions(plugins),
    )
    if file.exists():
        found = _with_earlier(found, Speedrun.read(file), file)
    for seed in range(seeds):
        if seed not in {run.seed for run in found.seeds}:
            run = _run_seed(plugins, checked, seed, rules, quiet)
            if run is None:  # interrupted by Ctrl-C
                break
            found = replace(found, seeds=sorted([*found.seeds, run], key=lambda one: one.seed))
            found.write(file)
    return found


def check_rules(recipe: Recipe, track: Recipe) -> None:
    """Check that a recipe has the data of the track, nothing that was trained before, and plain sampling.

    Raises:
        LimnerError: naming the first rule that it breaks.
    """
    plain = Sampling()
    for broken, rule in (
        (recipe.data != track.data, f"data: a speedrun trains on the data of {track.title or 'its track'} only"),
        (recipe.image_size != track.image_size, f"image_size: a speedrun paints {track.image_size} pixels"),
        (recipe.training.steps is None, "training: a speedrun has its budget in steps"),
        (recipe.training.start_from is not None, "training.start_from: a speedrun starts from nothing"),
        (pretrained_model(recipe) is not None, "encoder: a speedrun starts without a pretrained model"),
        (recipe.sampling != plain, "sampling: a speedrun judges one image of each prompt, with untruncated noise"),
    ):
        if broken:
            raise LimnerError(f"{rule}; change the recipe.")


class Judging:
    """Judges the averaged model every so many steps, and ends the training when the target is held."""

    def __init__(self, plugins: PluginHost, recipe: Recipe, rules: Mapping[str, Any]):
        self.plugins, self.recipe, self.rules = plugins, recipe, rules
        self.looks: list[Look] = []
        self.seconds = 0.0  # spent on judging
        self.reached: int | None = None
        self.stopped = False  # by Ctrl-C

    @hookimpl
    def limner_step_finished(self, run: Run) -> None:
        if run.step % self.rules["every"] and run.progress < 1:
            return
        seconds, start = run.seconds - self.seconds, time.perf_counter()
        exact, held_out = self._judge(run, self.rules["look"], 0)
        look = Look(run.step, round(seconds, 2), exact, held_out)
        if exact >= self.rules["target"]:
            confirmed, _ = self._judge(run, self.rules["confirm"], 1_000_000 * run.step)
            look = replace(look, confirmed=confirmed)
            self.reached = run.step if confirmed >= self.rules["target"] else None
        self.looks.append(look)
        self.seconds += time.perf_counter() - start
        if self.reached is not None:
            raise KeyboardInterrupt  # which ends the training as Ctrl-C does

    @hookimpl
    def limner_training_finished(self, run: Run) -> None:
        self.stopped = run.interrupted and self.reached is None

    def _judge(self, run: Run, images: int, seed: int) -> tuple[float, float]:
        """The shares of right images, of trained and of held-out pairs; `seed`: of the prompts and the noise."""
        metrics = {JUDGE: {"name": JUDGE, "prompts": images, "seed": seed}}
        recipe = Recipe.check(self.plugins, {**self.recipe.table(), "metrics": metrics}, "the recipe")
        scores = measure(self.plugins, recipe, run.model).scores
        return round(scores[SCORE], 4), round(scores[HELD_OUT], 4)  # of at most some thousand images


def _run_seed(plugins: PluginHost, recipe: Recipe, seed: int, rules: Mapping[str, Any], quiet: bool) -> SeedRun | None:
    """Train with one seed until the target is held; None after Ctrl-C."""
    judging, problem = Judging(plugins, recipe, rules), None
    callbacks = [judging, *default_callbacks(None, quiet)]
    try:
        train(recipe, overrides=[f"training.seed={seed}"], callbacks=callbacks, plugins=plugins)
    except DivergedError as error:
        problem = str(error)
    return None if judging.stopped else SeedRun(seed, judging.looks, judging.reached, problem)


def _command(recipe: str, overrides: Sequence[str], seeds: int, file: Path) -> str:
    """The command line that makes such a log."""
    changes = [word for change in overrides for word in ("--set", change)]
    return shell_join(["limner", "speedrun", recipe, *changes, "--seeds", str(seeds), "--out", portable(file)])


def _with_earlier(asked: Speedrun, earlier: Speedrun, file: Path) -> Speedrun:
    """The speedrun with the seeds that its log has already.

    Raises:
        LimnerError: if the log is of another recipe, of other rules, or from another machine.
    """
    for name in ("recipe", "rules", "machine"):
        if getattr(asked, name) != getattr(earlier, name):
            raise LimnerError(f"{file} is the log of a speedrun with another {name}; name another file.")
    return replace(asked, seeds=earlier.seeds)
