"""Copies of the lessons for a learner: notebooks with or without solutions, and the comparisons that they show."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from limner.errors import LimnerError
from limner.files import free_folder, writing

NOTE = """# The lessons of Limner {version}

These notebooks belong to limner {version}; other versions may behave differently. The solutions of the exercises are
{solutions}. `comparisons` holds the measurements that the lessons show, and `tutorials/photographs` the photographs of
lesson 6; these have licenses of their own, which their `SOURCE.md` lists.

    pip install "limner[lab]=={version}"
    jupyter lab .

Each lesson ends with exercises. Fill in the `...` of a cell and run it: it tells you whether you are right.

{lessons}
"""

SHOWN = ("comparisons/*/*", "comparisons/*/pictures/*", "tutorials/photographs/*", "tutorials/photographs/images/*")
"""What the notebooks read and show: the files of these patterns."""


def home() -> Path:
    """The folder of `tutorials/` and `comparisons/`: this package in a wheel, else the root of the checkout."""
    package = Path(__file__).parent
    return package if (package / "tutorials").is_dir() else package.parents[2]


def student(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """A notebook for a learner: without the cells tagged "solution", and without outputs."""
    cells = [dict(cell) for cell in notebook["cells"] if "solution" not in cell["metadata"].get("tags", [])]
    for cell in cells:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return {**notebook, "cells": cells}


def write_course(folder: Path, solutions: bool = False) -> list[Path]:
    """Write the notebooks, the comparisons and photographs that they read, and a README with the version.

    Args:
        folder: to write to, new or empty.
        solutions: whether to include the solutions, as collapsed cells, and the outputs of all cells.

    Returns:
        The files that were written.

    Raises:
        LimnerError: if the folder is not empty or cannot be written, or there are no notebooks to copy.
    """
    source = home()
    files, titles = {}, []
    for path in sorted((source / "tutorials").glob("[0-9]*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        titles.append(f"- [{title(notebook)}](tutorials/{path.name})")
        kept = notebook if solutions else student(notebook)
        files[f"tutorials/{path.name}"] = (json.dumps(kept, indent=1, ensure_ascii=False) + "\n").encode()
    if not files:
        raise LimnerError(f"There is no notebook in {source / 'tutorials'}; `pip install limner` includes them.")
    for pattern in SHOWN:
        for path in sorted(source.glob(pattern)):
            if path.is_file():
                files[path.relative_to(source).as_posix()] = path.read_bytes()
    note = NOTE.format(
        version=version("limner"),
        solutions="included, collapsed" if solutions else "left out",
        lessons="\n".join(titles),
    )
    files["README.md"] = note.encode()
    free_folder(folder)
    with writing(folder):
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return [folder / name for name in files]


def title(notebook: Mapping[str, Any]) -> str:
    """The first heading of a notebook."""
    return "".join(notebook["cells"][0]["source"]).partition("\n")[0].lstrip("# ")
