"""A new plugin project with one working component, ready to publish. The templates are in `scaffold/`."""

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
from limner.files import free_folder, writing
from limner.hooks import API_VERSION
from limner.kinds import COMPONENTS
from limner.plugins import host

RECIPE, RECIPE_OF_ANY_DATA = "scenes-one", "scenes-32"
"""What the notebook of a new plugin trains; the first needs wrong captions, which only some data sets have."""


def write_plugin(distribution: str, kind: str, folder: Path | None = None) -> list[Path]:
    """Write a plugin project, ready to install, test and publish.

    Args:
        distribution: the name for pip, such as "limner-glow".
        kind: the kind of its component, one of `limner.kinds.COMPONENTS`.
        folder: to write to, new or empty; by default, one named like the distribution.

    Returns:
        The files that were written.

    Raises:
        LimnerError: for an invalid name, one that another plugin or its component has, or an unknown kind; or if the
            folder is not empty or cannot be written.
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
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        written.append(target)
    return written


def _names(distribution: str, kind: str) -> dict[str, str]:
    """The values of the templates' placeholders."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", distribution):
        raise LimnerError(
            f"{distribution}: a plugin's name consists of lowercase letters, digits and hyphens, such as limner-glow."
        )
    package, name = distribution.replace("-", "_"), distribution.removeprefix("limner-")
    module = name.replace("-", "_")
    if module[0].isdigit() or iskeyword(module) or name == "none":
        raise LimnerError(f"{distribution}: '{name}' cannot be the name of a component; choose another one.")
    if find_spec(package) is not None:
        raise LimnerError(f"{distribution}: a module {package} is already installed; choose another name.")
    found = host()
    known = found.clashes.get((kind, name)) or [c for n, c in found.components(kind).items() if n == name]
    for owner in (component.plugin for component in known):
        if owner.version:  # one that is registered by hand has none, and is gone when this process ends
            raise LimnerError(f"{distribution}: {owner} already brings a {kind} '{name}'; choose another name.")
    if name in found.plugins:
        raise LimnerError(f"{distribution}: there is already a {found.plugins[name]}; choose another name.")
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
        "recipe": RECIPE_OF_ANY_DATA if kind == "dataset" else RECIPE,
        "api": API_VERSION,
        "version": version("limner"),
        "year": str(date.today().year),
    }
    return fixed | {key: Template(getattr(about.example, key)).substitute(name=name) for key in ("use", "snippet")}


def _texts(names: dict[str, str], kind: str) -> dict[str, str]:
    """The texts of the project's files, by path."""
    scaffold = files("limner.course").joinpath("scaffold")

    def filled(template: str) -> str:
        return Template(scaffold.joinpath(f"{template}.txt").read_text(encoding="utf-8")).substitute(names)

    package, module = names["package"], names["module"]
    own_notebook = scaffold.joinpath(f"notebook_{kind}.py.txt").is_file()
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
        f"{module}.ipynb": _notebook(filled(f"notebook_{kind}.py" if own_notebook else "notebook.py")),
    }


def _notebook(source: str) -> str:
    """A notebook from a script whose cells begin with "# %%", or "# %% [markdown]"."""
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
