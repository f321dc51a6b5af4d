"""`limner new-plugin`: a publishable project around one component that works, made from the files in `scaffold/`."""

import json
import re
from datetime import date
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template

from limner.errors import LimnerError, nearest
from limner.files import free_folder
from limner.hooks import API_VERSION
from limner.kinds import COMPONENTS

RECIPE = "scenes-one"
"""What the notebook of a new plugin trains."""


def write_plugin(distribution: str, kind: str, folder: Path | None = None) -> list[Path]:
    """Write a project that can be installed, tested and published as it is.

    Args:
        distribution: the name that pip will know, such as "limner-glow".
        kind: of its component, one of `limner.kinds.COMPONENTS`.
        folder: to write to, new or empty; by default one of the distribution's name.

    Returns:
        The files that were written.

    Raises:
        LimnerError: where the name or the kind will not do, or something is there already.
    """
    if kind not in COMPONENTS:
        raise LimnerError(
            f"--kind {kind}: there is no such kind{nearest(kind, COMPONENTS)}; there is {', '.join(COMPONENTS)}."
        )
    names = _names(distribution, kind)
    root = free_folder(folder or Path(distribution))
    written = []
    for path, text in _texts(names, kind).items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        written.append(target)
    return written


def _names(distribution: str, kind: str) -> dict[str, str]:
    """Every name that the project goes by."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", distribution):
        raise LimnerError(
            f"{distribution}: a plugin's name is made of small letters, digits and hyphens, such as limner-glow."
        )
    package, name = distribution.replace("-", "_"), distribution.removeprefix("limner-")
    module = name.replace("-", "_")
    if module[0].isdigit() or iskeyword(module) or name == "none":
        raise LimnerError(f"{distribution}: '{name}' cannot be the name of a component; choose another one.")
    if find_spec(package) is not None:
        raise LimnerError(f"{distribution}: a module {package} is installed already; choose another name.")
    words = "".join(word.capitalize() for word in name.split("-"))
    about = COMPONENTS[kind]
    assert about.example is not None
    fixed = {
        "distribution": distribution,
        "package": package,
        "name": name,
        "module": module,
        "Class": f"{words}{kind.capitalize()}",
        "hook": about.hook,
        "summary": about.example.summary,
        "recipe": RECIPE,
        "api": API_VERSION,
        "version": version("limner"),
        "year": str(date.today().year),
    }
    return fixed | {key: Template(getattr(about.example, key)).substitute(name=name) for key in ("use", "snippet")}


def _texts(names: dict[str, str], kind: str) -> dict[str, str]:
    """The files of the project, by their paths in it."""
    scaffold = files("limner.course").joinpath("scaffold")

    def filled(template: str) -> str:
        return Template(scaffold.joinpath(f"{template}.txt").read_text(encoding="utf-8")).substitute(names)

    package, module = names["package"], names["module"]
    notebook = f"notebook_{kind}.py" if kind in ("dataset", "metric") else "notebook.py"
    return {
        "pyproject.toml": filled("pyproject.toml"),
        "README.md": filled("README.md"),
        "LICENSE": filled("LICENSE"),
        ".gitignore": filled("gitignore"),
        ".github/workflows/tests.yml": filled("tests.yml"),
        f"{package}/__init__.py": filled("init.py"),
        f"{package}/{module}.py": filled(f"{kind}.py"),
        f"{package}/py.typed": "",
        f"tests/test_{module}.py": filled(f"test_{kind}.py"),
        f"{module}.ipynb": _notebook(filled(notebook)),
    }


def _notebook(source: str) -> str:
    """A notebook from cells that begin with "# %%", those of text with "# %% [markdown]"."""
    cells = []
    for number, cell in enumerate(source.split("# %%")[1:]):
        head, _, body = cell.partition("\n")
        base = {"id": f"cell-{number}", "metadata": {}}
        if "markdown" in head:
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines())
            cells.append(base | {"cell_type": "markdown", "source": text})
        else:
            code = {"cell_type": "code", "execution_count": None, "outputs": [], "source": body.strip()}
            cells.append(base | code)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    table = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(table, indent=1) + "\n"
