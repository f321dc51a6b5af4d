"""Copies of the lessons for a learner: notebooks with or without solutions, and the comparisons that they show."""

import json
from collections.abc import Mapping
from importlib.metadata import metadata, version
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

INSTALL = """# Installs Limner where it is missing, as in Colab, with the comparisons. Elsewhere this does nothing.
import importlib.util

if importlib.util.find_spec("limner") is None:
    %pip install --quiet "limner[lab]=={version}"
    !limner tutorials course
    %cd course/tutorials"""
BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({address})"
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


def opening(file: str, course: str | None) -> list[dict[str, Any]]:
    """The cells below the title of a copy: a badge that opens it in Colab, and the installation of Limner.

    Args:
        file: the name of the notebook.
        course: the address of the published course on GitHub, https://github.com/OWNER/NAME/tree/BRANCH, perhaps with a
            folder after it. Without it there is no badge.
    """
    code = {"cell_type": "code", "execution_count": None, "outputs": []}
    cells = [{**code, "id": "install", "metadata": {}, "source": lines_of(INSTALL.format(version=version("limner")))}]
    if course:
        path = course.removeprefix("https://github.com/").rstrip("/").replace("/tree/", "/blob/")
        badge = BADGE.format(address=f"https://colab.research.google.com/github/{path}/tutorials/{file}")
        cells.insert(0, {"cell_type": "markdown", "id": "colab", "metadata": {}, "source": [badge]})
    return cells


def lines_of(text: str) -> list[str]:
    """A text as a notebook's file has it."""
    return text.splitlines(keepends=True)


def published_course() -> str | None:
    """The address of the published course, "Course" under `[project.urls]` in pyproject.toml; None if it has none."""
    urls = dict(line.split(", ", 1) for line in metadata("limner").get_all("Project-URL") or [])
    return urls.get("Course")


def write_course(folder: Path, solutions: bool = False) -> list[Path]:
    """Write the notebooks, the comparisons and photographs that they read, and a README with the version.

    Below its title each notebook gets a cell that installs Limner if it is missing.

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
        below = 2 if kept["cells"][1].get("id") == "stamp" else 1  # below the title, and the line of the build
        cells = [*kept["cells"][:below], *opening(path.name, published_course()), *kept["cells"][below:]]
        kept = {**kept, "cells": cells}
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
