"""How fast recipes train on a GPU, with and without captured steps.

    python benchmarks/gpu.py                 # the table, and the time until scenes-32 paints right
    python benchmarks/gpu.py --steps 100     # shorter
    python benchmarks/gpu.py --only scenes-32 --skip-goal

Prints one line per recipe and batch size: steps and images per second, captured as CUDA graphs and not, and their
ratio. The photographs of the recipe `coco` are random colors in a temporary folder, because only speed is measured.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from limner import train
from limner.hooks import hookimpl
from limner.models.model import Model
from limner.training.run import Run
from PIL import Image

CASES = [("scenes-32", 32), *(("scenes-64", size) for size in (32, 256, 1024)), ("scenes-128", 32), ("coco", 32)]
GOAL = 0.95
"""The share of prompts that scenes-32 should paint exactly."""


class Clock:
    """Measures the time of all steps but the first ones, which are captured."""

    def __init__(self, skipped: int):
        self.skipped, self.started, self.seconds = skipped, 0.0, 0.0

    @hookimpl
    def limner_step_finished(self, run: Run) -> None:
        if run.step == self.skipped:
            torch.cuda.synchronize()
            self.started = time.perf_counter()
        if run.step == run.recipe.training.steps:
            torch.cuda.synchronize()
            self.seconds = time.perf_counter() - self.started


class Goal:
    """Judges the model on its way, and notes the training time at which it first reaches the goal."""

    def __init__(self, every: int):
        self.every, self.judging, self.reached = every, 0.0, None
        self.scores: list[tuple[int, float, float]] = []

    @hookimpl
    def limner_step_finished(self, run: Run) -> None:
        if run.step % self.every == 0 or run.step == run.recipe.training.steps:
            torch.cuda.synchronize()
            started = time.perf_counter()
            score = run.model.evaluate(metrics=["scene-judge"])["trained/exact"]
            trained = run.seconds - self.judging
            self.scores.append((run.step, trained, score))
            if score >= GOAL and self.reached is None:
                self.reached = run.step, trained
            self.judging += time.perf_counter() - started


def random_photographs(folder: Path, count: int = 2000) -> None:
    """A folder in the COCO layout with images of random colors and captions."""
    colors = torch.randint(256, (count, 3), generator=torch.Generator().manual_seed(0)).tolist()
    (folder / "images").mkdir(parents=True)
    for number, color in enumerate(colors):
        Image.new("RGB", (96, 80), tuple(color)).save(folder / "images" / f"{number}.jpg")
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 96, "height": 80} for n in range(count)]
    captions = [
        {"id": n, "image_id": n, "caption": f"a color of red {r}, green {g} and blue {b}"}
        for n, (r, g, b) in enumerate(colors)
    ]
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": captions}))


def speed(recipe: str, batch: int, steps: int, capture: bool, *options: str) -> float:
    """Steps per second."""
    skipped = 50  # until the lazy penalties of every sixteenth step are captured too
    clock = Clock(skipped)
    training = [f"training.steps={steps + skipped}", f"training.batch_size={batch}", "training.preview_every=1.0"]
    train(recipe, None, [*training, f"training.capture={str(capture).lower()}", *options], callbacks=[clock])
    return steps / clock.seconds


def time_to_goal(seed: int, every: int) -> Model:
    """Train scenes-32, and print when it reaches the goal."""
    goal = Goal(every)
    model = train("scenes-32", None, [f"training.seed={seed}", "training.preview_every=1.0"], callbacks=[goal])
    for step, seconds, score in goal.scores:
        print(f"  step {step}, {seconds:.1f} s: exact {score:.3f}", flush=True)
    reached = "not reached" if goal.reached is None else "step {}, {:.1f} s".format(*goal.reached)
    print(f"scenes-32, seed {seed}: exact {GOAL} at: {reached}", flush=True)
    return model


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200, help="steps that are timed (default 200)")
    parser.add_argument("--only", action="append", help="measure this recipe only; may be given again")
    parser.add_argument("--skip-goal", action="store_true", help="leave out the time until scenes-32 paints right")
    parser.add_argument("--seed", type=int, default=0, help="of the training to the goal (default 0)")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(1, "This measures an NVIDIA GPU, and PyTorch finds none here.\n")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, flush=True)
    with tempfile.TemporaryDirectory() as at:
        random_photographs(Path(at) / "coco")
        for recipe, batch in CASES:
            if given.only and recipe not in given.only:
                continue
            options = [f"data.root={Path(at) / 'coco'}", "encoder=phrase"] if recipe == "coco" else ["data.count=2000"]
            slow = speed(recipe, batch, max(20, given.steps // 5), False, *options)
            fast = speed(recipe, batch, given.steps, True, *options)
            print(
                f"{recipe:12} batch {batch:5}: {slow:6.1f} steps/s {slow * batch:8.0f} images/s as usual, "
                f"{fast:6.1f} steps/s {fast * batch:8.0f} images/s captured, {fast / slow:5.1f} times",
                flush=True,
            )
    if not given.skip_goal:
        time_to_goal(given.seed, 200)


if __name__ == "__main__":
    main()
