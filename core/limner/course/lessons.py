"""The course for a learner: the notebooks, without their solutions or with them, and the comparisons that they show."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from limner.errors import LimnerError
from limner.files import free_folder

NOTE = """# The lessons of Limner {version}

These notebooks belong to limner {version}: with another version, what happens may not be what they say. The solutions
of their exercises are {solutions}. `comparisons` holds the measurements that they show.

    pip install "limner[lab]=={version}"
    jupyter lab .

Each lesson ends with exercises: fill in the `...` of a cell and run it, and it says whether you have it.

{lessons}
"""


def home() -> Path:
    """The folder of `tutorials/` and `comparisons/`: within the installed package, or the checkout that is used."""
    package = Path(__file__).parent
    return package if (package / "tutorials").is_dir() else package.parents[2]


def student(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """A notebook as a learner gets it: without the cells that are tagged "solution", and not run yet."""
    cells = [dict(cell) for cell in notebook["cells"] if "solution" not in cell["metadata"].get("tags", [])]
    for cell in cells:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return {**notebook, "cells": cells}


def write_course(folder: Path, solutions: bool = False) -> list[Path]:
    """Write the notebooks, what they read, and a note of the version they belong to.

    Args:
        folder: where to; it may not hold anything yet.
        solutions: whether to keep the solutions, as collapsed cells, with what all cells gave when they were run.

    Returns:
        The files that were written.

    Raises:
        LimnerError: when the folder holds something, cannot be written, or there are no notebooks to copy.
    """
    source = home()
    files, titles = {}, []
    for path in sorted((source / "tutorials").glob("[0-9][0-9]_*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        titles.append(f"- [{title(notebook)}](tutorials/{path.name})")
        kept = notebook if solutions else student(notebook)
        files[f"tutorials/{path.name}"] = (json.dumps(kept, indent=1, ensure_ascii=False) + "\n").encode()
    if not files:
        raise LimnerError(f"There is no notebook in {source / 'tutorials'}; `pip install limner` brings them.")
    for path in sorted((source / "comparisons").glob("*/*")):
        if path.is_file():
            files[f"comparisons/{path.parent.name}/{path.name}"] = path.read_bytes()
    told = {"version": version("limner"), "solutions": "kept, collapsed" if solutions else "left out"}
    files["README.md"] = NOTE.format(**told, lessons="\n".join(titles)).encode()
    free_folder(folder)
    try:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    except OSError as error:
        raise LimnerError(f"{folder} cannot be written: {error}; name another one.") from None
    return [folder / name for name in files]


def title(notebook: Mapping[str, Any]) -> str:
    """The heading that a notebook begins with."""
    return "".join(notebook["cells"][0]["source"]).partition("\n")[0].lstrip("# ")
