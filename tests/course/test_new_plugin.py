"""A new plugin passes its own tests, ruff and pyright, is found when installed, and its notebook trains."""

import ast
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from limner import LimnerError
from limner.course.new_plugin import write_plugin
from limner.kinds import COMPONENTS
from limner.plugins import host
from limner.testing import LeastSquares
from limner.testing.tiny import make_plugin

BIN = Path(sys.executable).parent


def run(*command: str | Path, at: Path, site: Path) -> str:
    """The output of a command that can import from `site`; it must succeed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(list(map(str, command)), cwd=at, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def projects(tmp_path_factory) -> Path:
    """A folder with a new project of each kind, not installed."""
    root = tmp_path_factory.mktemp("projects")
    for kind in COMPONENTS:
        write_plugin(f"limner-my-{kind}", kind, root / f"limner-my-{kind}")
    return root


@pytest.fixture(scope="module")
def site(projects, tmp_path_factory) -> Path:
    """A folder into which pip has installed all of them."""
    site = tmp_path_factory.mktemp("site")
    install = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", site)
    run(*install, *(projects / f"limner-my-{kind}" for kind in COMPONENTS), at=projects, site=site)
    return site


def test_there_is_an_example_of_each_kind():
    assert all(kind.example for kind in COMPONENTS.values())


@pytest.mark.parametrize("kind", COMPONENTS)
def test_a_project_is_complete(projects, kind):
    project = projects / f"limner-my-{kind}"
    files = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    package = f"limner_my_{kind}"
    assert files == {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        ".gitignore",
        ".github/workflows/tests.yml",
        f"{package}/__init__.py",
        f"{package}/my_{kind}.py",
        f"{package}/py.typed",
        f"tests/test_my_{kind}.py",
        f"my_{kind}.ipynb",
    }
    component = (project / package / f"my_{kind}.py").read_text()
    assert ast.get_docstring(ast.parse(component))
    assert len(component.splitlines()) <= 60, "a component fits on a screen"
    workflow, readme = (project / ".github/workflows/tests.yml").read_text(), (project / "README.md").read_text()
    assert "${{ matrix.python }}" in workflow
    assert f"pytest --nbval-lax my_{kind}.ipynb" in workflow
    assert f"jupyter lab my_{kind}.ipynb" in readme
    assert f"`{package}/my_{kind}.py` holds the component" in readme
    notebook = json.loads((project / f"my_{kind}.ipynb").read_text())
    assert any("limner.train" in cell["source"] for cell in notebook["cells"])


@pytest.mark.slow
def test_the_projects_pass_ruff_and_pyright(projects, site):
    for project in sorted(projects.iterdir()):
        run(BIN / "ruff", "check", ".", at=project, site=site)
        run(BIN / "ruff", "format", "--check", ".", at=project, site=site)
    run(BIN / "pyright", "--pythonpath", sys.executable, *sorted(projects.iterdir()), at=projects, site=site)


@pytest.mark.slow
def test_the_projects_pass_their_own_tests(projects, site):
    tests = sorted(projects.glob("*/tests"))
    options = ("-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-W", "error")
    assert "28 passed" in run(BIN / "pytest", *options, *tests, at=projects, site=site)


@pytest.mark.slow
def test_the_projects_are_found_when_installed(projects, site):
    said = json.loads(run(BIN / "limner", "plugins", "--json", at=projects, site=site))
    found = {plugin["name"]: plugin for plugin in said["plugins"]}
    for kind in COMPONENTS:
        plugin = found[f"my-{kind}"]
        assert plugin["problem"] is None
        assert (plugin["distribution"], plugin["version"]) == (f"limner-my-{kind}", "0.1.0")
        assert plugin["brings"] == {kind: [f"my-{kind}"]}


@pytest.mark.notebook
def test_the_projects_notebooks_train(projects, site):
    notebooks = sorted(projects.glob("*/*.ipynb"))
    for notebook in notebooks:  # shorter training; the rest is unchanged
        text = notebook.read_text().replace("seconds = 20", "seconds = 1")
        budget = 'f\\"training.seconds={seconds}\\"'  # as escaped in the notebook's JSON
        assert budget in text
        notebook.write_text(text.replace(budget, f'{budget}, \\"data.count=300\\"'))
    command = (BIN / "pytest", "-q", "--nbval-lax", "-p", "no:cacheprovider")
    with ThreadPoolExecutor(2) as pool:
        halves = [pool.submit(run, *command, *notebooks[part::2], at=projects, site=site) for part in range(2)]
    assert ["failed" in half.result() for half in halves] == [False, False]


# --- errors ---------------------------------------------------------------------------------------------------------

INVALID = {
    "kind": (("limner-glow", "atention"), r"--kind atention: there is no such kind, did you mean 'attention'"),
    "capitals": (("Limner-Glow", "loss"), "lowercase letters, digits and hyphens, such as limner-glow"),
    "a path": (("../glow", "loss"), "lowercase letters, digits and hyphens"),
    "no identifier": (("limner-3d", "loss"), "'3d' cannot be the name of a component"),
    "keyword": (("limner-class", "loss"), "'class' cannot be the name of a component"),
    "installed": (("limner-attention", "loss"), "a module limner_attention is already installed"),
}


@pytest.mark.parametrize(("arguments", "message"), INVALID.values(), ids=INVALID)
def test_an_invalid_name_or_kind_is_an_error(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LimnerError, match=message):
        write_plugin(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_never_overwritten(tmp_path):
    (tmp_path / "limner-mine").mkdir()
    (tmp_path / "limner-mine" / "mine.txt").write_text("kept")
    with pytest.raises(LimnerError, match="is there already and is not an empty folder"):
        write_plugin("limner-mine", "loss", tmp_path / "limner-mine")
    assert [path.name for path in (tmp_path / "limner-mine").iterdir()] == ["mine.txt"]


def test_a_component_that_is_registered_by_hand_does_not_take_the_name(tmp_path):
    """A learner registers a loss in a notebook, and then makes a plugin of it."""
    with host().registered(make_plugin({"loss": {"sparkle": LeastSquares}})):
        write_plugin("limner-sparkle", "loss", tmp_path / "limner-sparkle")
    assert (tmp_path / "limner-sparkle" / "pyproject.toml").is_file()
