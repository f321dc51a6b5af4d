"""Build the notebooks from their text sources and run them: `python tutorials/build.py [NAME ...]`.

A notebook `NN_name.ipynb` is made from `NN_name.py` (jupytext's percent format). Cell ids follow from the position, so
building twice gives the same file. The notebook holds the exercises and their collapsed solutions. Learners get it
without the solutions (`limner.course.lessons.student`), so one run covers both versions.

Below the title, a notebook says where and when it ran, and how long it takes on other machines. How fast a machine is
means here: how many images of the recipe `scenes-32` it trains in a second, as `limner train scenes-32 --dry-run` says.
"""

import io
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from datetime import date
from pathlib import Path

import jupytext
import limner
import nbformat
from limner.comparisons.provenance import machine
from limner.training.cost import measure_cost
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parent
USUAL, SLOW = 528, 200
"""Images per second of a laptop that the lessons are made for, and of a slow one."""
LONGEST = 240
"""Seconds that a lesson may take on the usual one."""


def from_source(source: Path) -> nbformat.NotebookNode:
    """Read the notebook of a source, without running it."""
    notebook = jupytext.read(source)
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for position, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{position:03d}"
    return notebook


def sources() -> list[Path]:
    """Return the text sources of all notebooks, in reading order."""
    return sorted(FOLDER.glob("[0-9]*.py"))


def build(source: Path) -> None:
    """Build a notebook, run it in its folder, and write it with its outputs."""
    notebook, before, start = from_source(source), speed(), time.perf_counter()
    options = {"timeout": 3600, "store_widget_state": False, "resources": {"metadata": {"path": str(FOLDER)}}}
    NotebookClient(notebook, **options).execute()
    seconds = time.perf_counter() - start
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # timestamps differ between runs
        for output in cell.get("outputs", ()):  # a widget lives as long as its kernel; its picture stays
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
            if "image/png" in output.get("data", {}):
                output["data"]["image/png"] = smaller(output["data"]["image/png"])
    images = (before + speed()) / 2  # a second, because other programs may run
    metadata = {"tags": ["stamp"]}  # the source has no such cell
    cell = nbformat.v4.new_markdown_cell(stamp(seconds, images), id="stamp", metadata=metadata)
    notebook.cells.insert(1, cell)
    nbformat.write(notebook, source.with_suffix(".ipynb"))
    usual = seconds * images / USUAL
    too_long = f", longer than {LONGEST} s" if usual > LONGEST else ""
    print(f"{source.stem}: {seconds:.0f} s here, {usual:.0f} s at {USUAL} images/s{too_long}", flush=True)


def smaller(picture: str) -> str:
    """A PNG picture in base64 with the 256 colors that fit best: less than half as large, and hardly different."""
    content, smaller = b64decode(picture), io.BytesIO()
    image = Image.open(io.BytesIO(content))
    if image.getextrema()[3:] not in ((), ((255, 255),)):
        return picture  # something shines through
    image.convert("RGB").quantize(256, kmeans=3, dither=Image.Dither.NONE).save(smaller, "PNG", optimize=True)
    return b64encode(smaller.getvalue()).decode() if smaller.tell() < len(content) else picture


def speed() -> float:
    """Images per second that this machine trains of the recipe `scenes-32`."""
    return measure_cost(limner.host(), limner.Recipe.read(limner.host(), "scenes-32")).images_per_second


def stamp(seconds: float, images: float) -> str:
    """Where and when a notebook ran, and how long it takes on other machines.

    Args:
        seconds: that it took.
        images: per second that the machine trains.
    """
    about = machine()
    processor = about["processor"] if about["device"] == "cpu" else about["device"]
    head = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(head, cwd=FOLDER, capture_output=True, text=True, check=True).stdout.strip()
    usual, slow = (minutes(seconds * images / other) for other in (USUAL, SLOW))
    elsewhere = f"{usual} at {USUAL} images/s and {slow} at {SLOW}" if usual != slow else f"{usual} at {SLOW} images/s"
    return (
        f"*Ran in {seconds:.0f} s on {processor}, {about['threads']} of {about['cores']} cores, at {images:.0f} images/s; "
        f"{date.today()}, Limner {limner.__version__}, after commit {commit}. It takes {elsewhere}. "
        f"`limner train scenes-32 --dry-run` tells how many your machine makes.*"
    )


def minutes(seconds: float) -> str:
    """A time in words, such as "about 4 minutes"."""
    if seconds < 50:
        return "less than a minute"
    return f"about {round(seconds / 60)} minute{'s' * (round(seconds / 60) > 1)}"


if __name__ == "__main__":
    for path in sources():
        if not sys.argv[1:] or any(name in path.stem for name in sys.argv[1:]):
            build(path)
