"""`limner new-plugin`: a publishable project around one component that works, made from the files in `scaffold/`."""

import json
import re
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template

from limner.errors import LimnerError
from limner.folders import free_folder
from limner.hooks import API_VERSION
from limner.names import nearest
from limner.plugins import COMPONENT_HOOKS

RECIPE = "scenes-one"
"""What the notebook of a new plugin trains."""


@dataclass(frozen=True)
class Kind:
    """A kind of component as a project shows it: in a sentence, as a change of a recipe, and in a recipe."""

    summary: str
    use: str
    snippet: str


KINDS = {
    "attention": Kind(
        "Attention that adds the mean of the words to every position.",
        "generator.attention=$name",
        '[generator]\nattention = "$name"',
    ),
    "stage": Kind(
        "A stage that paints at twice the resolution of the one before.",
        "generator={name='staged', stages=[{name='initial', size=16, channels=[64, 48, 32]}, {name='$name'}]}",
        '[generator]\nname = "staged"\n'
        'stages = [{name = "initial", size = 16, channels = [64, 48, 32]}, {name = "$name"}]',
    ),
    "loss": Kind(
        "A loss that asks the generator for smooth pictures.",
        "losses.$name.weight=0.1",
        "[losses.$name]\nweight = 0.1",
    ),
    "encoder": Kind("A text encoder that takes the mean of the words.", "encoder=$name", '[encoder]\nname = "$name"'),
    "generator": Kind("A small convolutional generator.", "generator=$name", '[generator]\nname = "$name"'),
    "discriminator": Kind(
        "A small convolutional discriminator.", "discriminator=$name", '[discriminator]\nname = "$name"'
    ),
    "dataset": Kind(
        "Captioned images of stripes, drawn when they are asked for.", "data=$name", '[data]\nname = "$name"'
    ),
    "metric": Kind("A metric of how sharp painted images are.", "metrics.$name={}", "[metrics.$name]"),
}
"""What a plugin can be begun with."""


def write_plugin(distribution: str, kind: str, folder: Path | None = None) -> list[Path]:
    """Write a project that can be installed, tested and published as it is.

    Args:
        distribution: the name that pip will know, such as "limner-glow".
        kind: of its component, one of `KINDS`.
        folder: to write to, new or empty; by default one of the distribution's name.

    Returns:
        The files that were written.

    Raises:
        LimnerError: where the name or the kind will not do, or something is there already.
    """
    if kind not in KINDS:
        raise LimnerError(
            f"--kind {kind}: there is no such kind{nearest(kind, list(KINDS))}; there is {', '.join(KINDS)}."
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
    about = KINDS[kind]
    fixed = {
        "distribution": distribution,
        "package": package,
        "name": name,
        "module": module,
        "Class": f"{words}{kind.capitalize()}",
        "hook": COMPONENT_HOOKS[kind],
        "summary": about.summary,
        "recipe": RECIPE,
        "api": API_VERSION,
        "version": version("limner"),
        "year": str(date.today().year),
    }
    return fixed | {key: Template(getattr(about, key)).substitute(name=name) for key in ("use", "snippet")}


def _texts(names: dict[str, str], kind: str) -> dict[str, str]:
    """The files of the project, by their paths in it."""
    scaffold = files("limner").joinpath("scaffold")

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
