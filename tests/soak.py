"""Trains, resumes, paints and judges for hours in one process, and draws its memory, open files and threads.

    python tests/soak.py --hours 2 --out runs/soak

Every round trains each of the recipes below for some steps with previews and snapshots, resumes it, loads it, paints,
and judges what it painted. Nothing may grow: the last quarter of the rounds is compared with the second one.
"""

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import limner
import matplotlib.pyplot as plt
import psutil
from tqdm import tqdm

RECIPES = ("scenes-one", "quickstart", "scenes-staged")
STEPS = 12
SMALL = [
    "data.count=64",
    f"training.steps={STEPS}",
    "training.batch_size=8",
    "training.preview_every=0.25",
    "training.snapshots=[0.5]",
]
MEASURES = {"memory": "memory (MB)", "files": "open files", "threads": "threads"}
ALLOWED = {"memory": 0.05, "files": 0.0, "threads": 0.0}
"""How much the median may grow, as a share."""


def one_round(folder: Path) -> None:
    """Train, resume, load, paint and judge a small model of each recipe."""
    for name in RECIPES:
        run = folder / name
        limner.train(name, run, SMALL, quiet=True)
        limner.resume(run, [f"training.steps={STEPS + 4}"], quiet=True)
        model = limner.load(run)
        model.paint("a red circle", n=4)[0].save(folder / "painted.png")
        model.evaluate(None, None, ["prompt-diversity"])


def measured(start: float) -> dict[str, float]:
    """What this process holds now."""
    process = psutil.Process()
    return {
        "hours": (time.perf_counter() - start) / 3600,
        "memory": process.memory_info().rss / 1e6,
        "files": process.num_fds(),
        "threads": process.num_threads(),
    }


def growth(rows: list[dict[str, float]]) -> dict[str, float]:
    """How much the median of each measure grows from the second quarter to the last one, as a share."""
    second, last = rows[len(rows) // 4 : len(rows) // 2], rows[-max(len(rows) // 4, 1) :]
    return {
        measure: median(row[measure] for row in last) / median(row[measure] for row in second) - 1
        for measure in MEASURES
    }


def draw(rows: list[dict[str, float]], file: Path) -> None:
    """A panel per measure over the hours."""
    figure, panels = plt.subplots(len(MEASURES), 1, sharex=True, figsize=(8, 6), layout="constrained")
    for panel, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        panel.plot([row["hours"] for row in rows], [row[measure] for row in rows])
        panel.set(ylabel=title, ylim=(0, None))
    panels[-1].set(xlabel="hours")
    figure.savefig(file)
    plt.close(figure)


def main() -> None:
    """Go on for so many hours, and tell what grew."""
    parser = argparse.ArgumentParser(description="Train for hours, and watch memory, open files and threads.")
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--out", type=Path, default=Path("runs/soak"), help="folder of the chart and the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", message="The budget is")
    start, rows = time.perf_counter(), []
    with tqdm(total=round(options.hours * 3600), unit="s") as bar:
        while len(rows) < 4 or rows[-1]["hours"] < options.hours:
            with tempfile.TemporaryDirectory() as made:
                one_round(Path(made))
            rows.append(measured(start))
            (options.out / "soak.json").write_text(json.dumps(rows, indent=1))
            draw(rows, options.out / "soak.png")
            bar.update(min(round(rows[-1]["hours"] * 3600), bar.total) - bar.n)
    found = growth(rows)
    print(f"{len(rows)} rounds; growth: " + ", ".join(f"{measure} {share:+.1%}" for measure, share in found.items()))
    assert all(found[measure] <= ALLOWED[measure] for measure in MEASURES), "something grows"


if __name__ == "__main__":
    main()
