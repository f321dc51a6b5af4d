"""Build the notebooks from their text sources and run them: `python tutorials/build.py [NAME ...]`.

A notebook `NN_name.ipynb` is made from `NN_name.py` (jupytext's percent format). Cell ids follow from the position, so
building twice gives the same file. The notebook holds the exercises and their collapsed solutions. Learners get it
without the solutions (`limner.course.lessons.student`), so one run covers both versions.
"""

import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


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
    notebook, start = from_source(source), time.perf_counter()
    options = {"timeout": 1200, "store_widget_state": False, "resources": {"metadata": {"path": str(FOLDER)}}}
    NotebookClient(notebook, **options).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # timestamps differ between runs
        for output in cell.get("outputs", ()):  # a widget lives as long as its kernel; its picture stays
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    nbformat.write(notebook, source.with_suffix(".ipynb"))
    print(f"{source.stem}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    for path in sources():
        if not sys.argv[1:] or any(name in path.stem for name in sys.argv[1:]):
            build(path)
