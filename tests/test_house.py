"""The rules of the house: which way imports go, what is documented, and what notebooks are made of."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Set
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import limner
import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "core").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
SOURCES = CORE + PLUGINS
NOTEBOOKS = sorted((ROOT / "tutorials").glob("[0-9]*.py"))

ROOMS = (
    "cli",
    "reports",
    "play",
    "testing",
    "comparisons",
    "course",
    "reference",
    "training",
    "models",
    "data",
    "recipes",
    "root",
)
"""The rooms of core, from the top. A room may import itself and the rooms after it."""
FLOORS = 16
"""The longest chain of imports in core that is allowed."""
PUBLIC = {"limner", "limner.layers", "limner.hooks", "limner.testing"}
"""What a plugin may import of core."""
FORWARDING = {"limner", "limner.captions"}
"""Modules that import a name only when it is first used: the public names, and the old place of one of them."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- reading imports ------------------------------------------------------------------------------------------------


def nodes_of(tree: ast.AST, run_time: bool = False) -> Iterator[ast.AST]:
    """Every node of a syntax tree; `run_time` leaves out the blocks of `if TYPE_CHECKING:`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if run_time and isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING":
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


@cache
def imports_of(path: Path, run_time: bool = False) -> set[tuple[str, str]]:
    """Every import of a file, also inside functions, as (module, name); the name is "" for `import module`.

    After `import module`, each use of `module.name` counts as (module, name). Relative imports are left out.
    """
    found = set()
    nodes = list(nodes_of(ast.parse(path.read_text(encoding="utf-8")), run_time))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            found.add((node.value.id, node.attr))
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "import_module":
            found |= {(value.value, "") for value in node.args if isinstance(value, ast.Constant)}
    return found


def imported(path: Path) -> set[str]:
    """The packages that a file imports."""
    return {module.split(".")[0] for module, _ in imports_of(path)}


def import_graph(package: Path, lazy: Mapping[str, str], forwarding: Set[str]) -> dict[str, set[str]]:
    """For each module of a package the modules of it that it imports at run time.

    Args:
        package: its folder.
        lazy: names that the package itself imports from a module of it when they are first used.
        forwarding: modules that only pass on such names; what they import does not count.
    """
    files = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph: dict[str, set[str]] = {name: set() for name in files}
    for name in files.keys() - forwarding:
        for module, imported_name in imports_of(files[name], run_time=True):
            if module == package.name and imported_name in lazy:
                module = f"{module}.{lazy[imported_name]}"
            whole = f"{module}.{imported_name}"
            found = whole if whole in files else module
            if found in files and found != name:
                graph[name].add(found)
    return graph


def longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """The longest chain of modules of which each imports the next.

    Raises:
        CycleError: for modules that import each other in a circle.
    """
    chains: dict[str, list[str]] = {}
    for name in TopologicalSorter(graph).static_order():
        chains[name] = [name, *max((chains[below] for below in graph[name]), key=len, default=[])]
    return max(chains.values(), key=len)


def room_of(module: str) -> str:
    """The room of a module of core; `python -m limner` belongs to the command line."""
    name = module.split(".")[1] if module != "limner" else "root"
    return {"__main__": "cli"}.get(name, name if name in ROOMS else "root")


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return import_graph(ROOT / "core" / "limner", limner._HOME_OF, FORWARDING)


def test_the_graph_has_what_is_imported_at_run_time(tmp_path):
    sources = {
        "__init__": "from made.a import A",
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import made.b\nelse:\n    import made.c",
        "b": "import made\ndef late():\n    from made import c\n    return made.A",
        "c": "from importlib import import_module\nimport os\nimport_module('made.room.d')",
        "room/__init__": "from made.room.d import D",
        "room/d": "",
    }
    for name, source in sources.items():
        path = tmp_path / "made" / f"{name}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(source)
    graph = import_graph(tmp_path / "made", {"A": "a"}, {"made"})
    assert graph == {
        "made": set(),
        "made.a": {"made.c"},
        "made.b": {"made", "made.a", "made.c"},
        "made.c": {"made.room.d"},
        "made.room": {"made.room.d"},
        "made.room.d": set(),
    }
    assert longest_chain(graph) == ["made.b", "made.a", "made.c", "made.room.d"]
    with pytest.raises(CycleError):
        longest_chain(graph | {"made.room.d": {"made.b"}})


# --- rooms ----------------------------------------------------------------------------------------------------------


def test_core_has_no_circle_of_imports(graph):
    try:
        chain = longest_chain(graph)
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
    assert len(chain) <= FLOORS, " -> ".join(chain)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_no_room_above_it(graph, room):
    above = ROOMS[: ROOMS.index(room)]
    assert [
        f"{module} imports {other}"
        for module in sorted(graph)
        for other in sorted(graph[module])
        if room_of(module) == room and room_of(other) in above
    ] == []


@pytest.mark.parametrize("room", ROOMS[:-1])
def test_a_room_says_what_it_is_for_and_what_it_may_import(room):
    doc = importlib.import_module(f"limner.{room}").__doc__
    assert doc
    assert re.search(r"imports? ", doc, re.IGNORECASE)


def test_no_module_hides_a_name_of_limner():
    modules = {path.stem for path in (ROOT / "core" / "limner").iterdir()}
    assert modules & set(limner.__all__) == set()


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_imports_by_full_names(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level] == []


# --- plugins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_imports_no_plugin(path):
    assert {name for name in imported(path) if name.startswith("limner_")} == set()


@pytest.mark.parametrize("path", PLUGINS, ids=name_of)
def test_a_plugin_imports_no_other_plugin(path):
    own = path.relative_to(ROOT / "plugins").parts[0]
    assert {name for name in imported(path) if name.startswith("limner_")} <= {own}


@pytest.mark.parametrize("path", PLUGINS, ids=name_of)
def test_a_plugin_imports_only_what_is_public(path):
    of_core = [(module, name) for module, name in imports_of(path) if module.split(".")[0] == "limner"]
    assert [module for module, _ in of_core if module not in PUBLIC] == []
    assert [name for module, name in of_core if module == "limner" and name and name not in limner.__all__] == []


def test_nothing_is_imported_by_its_place_in_the_repository():
    """That would make a second copy of a module."""
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "tutorials").glob("*.py")]
    assert [name_of(path) for path in files if imported(path) & {"core", "plugins"}] == []


@pytest.mark.parametrize("plugin", sorted({path.parent for path in PLUGINS if path.name == "__init__.py"}), ids=name_of)
def test_a_plugin_names_its_components_without_heavy_imports(plugin):
    standard = {"collections", "typing"}
    assert imported(plugin / "__init__.py") <= {"limner", *standard}


def test_third_party_imports_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        re.split("[<>=]", line)[0].lower().replace("-", "_").replace("pillow", "PIL")
        for line in project["dependencies"]
    }
    declared |= {"IPython"}  # imported in notebooks only, where it is installed
    declared |= {"ipywidgets", "gradio", "datasets"}  # of extras; without them, one sentence names the extra
    declared |= {"onnx", "onnxruntime", "onnxscript"}  # of the extra export, in the same way
    declared |= {"mlflow"}  # of a tracker; without it, one sentence says how to install it
    used = {name for path in SOURCES for name in imported(path) if not name.startswith("limner")}
    assert used - sys.stdlib_module_names - declared == set()


# --- what is documented, and how long it is -------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_is_short_and_says_what_it_is(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a file starts with a docstring"
    assert len(text.splitlines()) <= 320


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_everything_public_has_a_docstring(path):
    """A method may inherit the docstring of its interface, a hook that of its specification."""
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
            if not value.__doc__ or value.__doc__.startswith(f"{name}("):  # the docstring that a dataclass generates
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
    """The text files that git tracks, or would add."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a git checkout")
    binary = {".png", ".jpg", ".gif", ".webp", ".npz", ".safetensors"}
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
def test_a_notebook_is_built_from_its_source_and_ran_cleanly(source):
    jupytext, nbformat = pytest.importorskip("jupytext"), pytest.importorskip("nbformat")
    made = source.with_suffix(".ipynb")
    if not made.is_file():
        pytest.skip(f"{made.name} is not built yet")
    written, executed = jupytext.read(source), nbformat.read(made, as_version=4)
    cells = [[(c.cell_type, c.source, c.metadata.get("tags")) for c in book.cells] for book in (executed, written)]
    assert [cell for cell in cells[0] if cell[2] != ["stamp"]] == cells[1]  # the build says where and when it ran
    code = [cell for cell in executed.cells if cell.cell_type == "code" and cell.source.strip()]
    assert all(cell.execution_count for cell in code)
    assert [out for cell in code for out in cell.outputs if out.output_type == "error"] == []
