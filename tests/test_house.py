"""The rules of the house: which way imports go, what is documented, and what notebooks are made of."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "core").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
SOURCES = CORE + PLUGINS
NOTEBOOKS = sorted((ROOT / "tutorials").glob("[0-9]*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> set[str]:
    """The packages that a file imports, wherever in it; those it imports from itself ("from . import") are left out."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


# --- imports --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_imports_no_plugin(path):
    assert {name for name in imported(path) if name.startswith("limner_")} == set()


@pytest.mark.parametrize("path", PLUGINS, ids=name_of)
def test_a_plugin_imports_no_other_plugin(path):
    own = path.relative_to(ROOT / "plugins").parts[0]
    assert {name for name in imported(path) if name.startswith("limner_")} <= {own}


def test_nothing_is_imported_by_its_place_in_the_repository():
    """That would make a second copy of a module."""
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "tutorials").glob("*.py")]
    assert [name_of(path) for path in files if imported(path) & {"core", "plugins"}] == []


@pytest.mark.parametrize("plugin", sorted({path.parent for path in PLUGINS if path.name == "__init__.py"}), ids=name_of)
def test_a_plugin_says_what_it_brings_without_importing_anything_heavy(plugin):
    standard = {"collections", "typing"}
    assert imported(plugin / "__init__.py") <= {"limner", *standard}


def test_third_party_imports_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        re.split("[<>=]", line)[0].lower().replace("-", "_").replace("pillow", "PIL")
        for line in project["dependencies"]
    }
    declared |= {"IPython"}  # imported in a notebook only, where it is
    used = {name for path in SOURCES for name in imported(path) if not name.startswith("limner")}
    assert used - sys.stdlib_module_names - declared == set()


# --- what is documented, and how long it is -------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_is_short_and_says_what_it_is(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a file begins with a docstring"
    assert len(text.splitlines()) <= 320


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_everything_public_has_a_docstring(path):
    """A method may have the one of the interface that it implements, a hook the one of its specification."""
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
    bare = []
    for name, value in vars(module).items():
        if (
            name.startswith("_")
            or getattr(value, "__module__", None) != module.__name__
            or hasattr(value, "limner_impl")
        ):
            continue
        if inspect.isclass(value):
            if not value.__doc__ or value.__doc__.startswith(f"{name}("):  # what a dataclass writes by itself
                bare.append(name)
            bare += [
                f"{name}.{method}"
                for method, function in vars(value).items()
                if inspect.isfunction(function)
                and not method.startswith("_")
                and not hasattr(function, "limner_impl")
                and not any(getattr(base, method, None) for base in value.__mro__[1:])
                and not function.__doc__
            ]
        elif inspect.isfunction(value) and not value.__doc__:
            bare.append(name)
    assert bare == []


# --- what is in the repository --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The text files that git knows, or would add."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    binary = {".png", ".jpg", ".webp", ".npz"}
    files = [ROOT / line for line in listed.stdout.splitlines()]
    return [path for path in files if path.is_file() and path.suffix not in binary]


def test_no_file_names_a_folder_of_one_machine(tracked):
    machine = re.compile(rf"(?<![\w.~}}/:-])/({'|'.join(['work', 'root', 'home', 'Users'])})/")
    named = {
        name_of(path): found.group()
        for path in tracked
        if path != Path(__file__) and (found := machine.search(path.read_text(encoding="utf-8")))
    }
    assert named == {}


# --- notebooks ------------------------------------------------------------------------------------------------------


def test_there_is_a_source_for_each_notebook():
    made = {path.stem for path in (ROOT / "tutorials").glob("*.ipynb")}
    assert made <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("source", NOTEBOOKS, ids=name_of)
def test_a_notebook_is_what_its_source_says_and_was_executed_without_an_error(source):
    jupytext, nbformat = pytest.importorskip("jupytext"), pytest.importorskip("nbformat")
    made = source.with_suffix(".ipynb")
    if not made.is_file():
        pytest.skip(f"{made.name} is not built yet")
    written, executed = jupytext.read(source), nbformat.read(made, as_version=4)
    cells = [[(c.cell_type, c.source, c.metadata.get("tags")) for c in book.cells] for book in (executed, written)]
    assert cells[0] == cells[1]
    code = [cell for cell in executed.cells if cell.cell_type == "code" and cell.source.strip()]
    assert all(cell.execution_count for cell in code)
    assert [out for cell in code for out in cell.outputs if out.output_type == "error"] == []
