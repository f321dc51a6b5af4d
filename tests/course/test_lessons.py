"""`limner tutorials`: what it copies from a checkout and from a wheel, and its errors."""

import json
import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import limner.course.lessons
import pytest
from limner.course.lessons import home, opening, write_course

TAGGED = {"tags": ["solution"], "jupyter": {"source_hidden": True}}


def cell(source: str, **metadata: object) -> dict:
    """A code cell with output."""
    output = {"output_type": "stream", "name": "stdout", "text": ["printed\n"]}
    return {
        "cell_type": "code",
        "execution_count": 3,
        "metadata": metadata,
        "outputs": [output],
        "source": source.splitlines(keepends=True),
    }


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A small course: one lesson with a solution, and one comparison with a run."""
    source = tmp_path / "source"
    for folder in ("tutorials", "comparisons/one/runs"):
        (source / folder).mkdir(parents=True)
    heading = {"cell_type": "markdown", "metadata": {}, "source": ["# 0. Straße\n", "\n", "Words."]}
    cells = [heading, cell("answer = ...", tags=["exercise"]), cell("answer = 1\nanswer", **TAGGED)]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (source / "tutorials/00_first.ipynb").write_text(json.dumps(notebook))
    (source / "tutorials/notes.ipynb").write_text("no lesson")
    (source / "comparisons/one/results.json").write_text("{}")
    (source / "comparisons/one/runs/weights").write_text("large")
    monkeypatch.setattr(limner.course.lessons, "home", lambda: source)
    return source


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_solutions_and_outputs_are_left_out(command, course, here):
    status, out, err = command("tutorials", "mine")
    assert (status, err) == (0, "")
    written = ["mine/README.md", "mine/comparisons/one/results.json", "mine/tutorials/00_first.ipynb"]
    assert sorted(Path(line).as_posix() for line in out.splitlines()[:3]) == written
    assert sorted(path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()) == written
    assert "--solutions includes them" in out
    assert "jupyter lab mine" in out
    assert 'pip install "limner[lab]"' in out
    text = (here / "mine/tutorials/00_first.ipynb").read_text(encoding="utf-8")
    assert "Straße" in text
    assert "printed" not in text
    cells = json.loads(text)["cells"]
    title, install, exercise = [cell["source"] for cell in cells]
    assert (title, exercise) == (["# 0. Straße\n", "\n", "Words."], ["answer = ..."])
    assert f'    %pip install --quiet "limner[lab]=={version("limner")}"\n' in install
    assert cells[2]["execution_count"] is None


def test_solutions_can_be_included_with_outputs(command, course, here):
    status, out, _ = command("tutorials", "mine", "--solutions")
    assert status == 0
    assert "included, collapsed" in out
    kept, whole = (json.loads((f / "tutorials/00_first.ipynb").read_text()) for f in (here / "mine", course))
    assert kept["cells"].pop(1)["id"] == "install"
    assert kept == whole
    assert kept["cells"][2]["metadata"]["jupyter"]["source_hidden"]
    assert "included, collapsed" in (here / "mine/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("there", [True, False])
def test_limner_is_installed_only_where_it_is_missing(there, course, here, monkeypatch):
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()
    write_course(here / "mine")
    cells = json.loads((here / "mine/tutorials/00_first.ipynb").read_text(encoding="utf-8"))["cells"]
    asked = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if there else None)
    for magic in ("pip", "cd"):
        shell.register_magic_function(lambda line, magic=magic: asked.append((magic, line)), magic_name=magic)
    monkeypatch.setattr(shell, "system", lambda line: asked.append(("!", line)))
    shell.run_cell("".join(cells[1]["source"])).raise_error()
    wanted = [
        ("pip", f'install --quiet "limner[lab]=={version("limner")}"'),
        ("!", "limner tutorials course"),
        ("cd", "course/tutorials"),
    ]
    assert asked == ([] if there else wanted)


def test_a_badge_opens_the_published_copy_in_colab():
    badge, install = opening("00_first.ipynb", "https://github.com/someone/course/tree/main/lessons")
    address = "https://colab.research.google.com/github/someone/course/blob/main/lessons/tutorials/00_first.ipynb"
    assert f"({address})" in badge["source"][0]
    assert [install] == opening("00_first.ipynb", None), "no badge without an address"


def test_the_readme_names_the_version_and_the_lessons(command, course, here):
    command("tutorials", "mine")
    note = (here / "mine/README.md").read_text(encoding="utf-8")
    assert f"limner {version('limner')}" in note
    assert f'pip install "limner[lab]=={version("limner")}"' in note
    assert "- [0. Straße](tutorials/00_first.ipynb)" in note
    assert "exercises are\nleft out" in note


def test_existing_files_are_never_overwritten(command, course, here):
    (here / "full").mkdir()
    (here / "full/mine.txt").write_text("mine")
    (here / "file").write_text("mine")
    (here / "empty").mkdir()
    for name in ("full", "file"):
        status, out, err = command("tutorials", name)
        assert (status, out) == (1, "")
        assert err == f"Error: {name} is there already and is not an empty folder; name another one.\n"
    assert command("tutorials", "file/within")[0] == 1
    assert [path.name for path in (here / "full").iterdir()] == ["mine.txt"]
    assert command("tutorials", "empty")[0] == 0


def test_missing_notebooks_are_an_error(command, course, here):
    (course / "tutorials/00_first.ipynb").unlink()
    status, _, err = command("tutorials", "mine")
    assert status == 1
    assert "There is no notebook in" in err
    assert not (here / "mine").exists()


def test_a_folder_that_cannot_be_written_is_an_error(command, course, here, monkeypatch):
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    status, _, err = command("tutorials", "mine")
    assert status == 1
    assert err == "Error: mine cannot be written: No space left on device; make room or name another place.\n"


# --- the course itself ----------------------------------------------------------------------------------------------


def test_a_checkout_provides_its_own_course(root, tmp_path):
    assert home() == root
    written = {path.relative_to(tmp_path / "course").as_posix() for path in write_course(tmp_path / "course")}
    lessons = {f"tutorials/{path.name}" for path in (root / "tutorials").glob("[0-9]*.ipynb")}
    results = {f"comparisons/{path.parent.name}/results.json" for path in (root / "comparisons").glob("*/results.json")}
    photographs = {f"tutorials/photographs/{name}" for name in ("SOURCE.md", "captions.json")}
    assert lessons | results | photographs <= written
    for path in sorted((root / "tutorials").glob("[0-9]*.py")):
        read = {part.split('"')[0] for part in path.read_text(encoding="utf-8").split('"../')[1:]}
        assert {name for name in read if not (tmp_path / "course" / name).exists()} == set(), path.name


def test_each_photograph_may_be_passed_on_and_is_credited(root, tmp_path):
    """Its license allows changes and any use with attribution; the copy of the course has it, and names its license."""
    write_course(tmp_path / "course")
    folder = tmp_path / "course/tutorials/photographs"
    table = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    licenses = {entry["id"]: entry["url"] for entry in table["licenses"]}
    credits = [line for line in (folder / "SOURCE.md").read_text(encoding="utf-8").splitlines() if line[:3] != "|--"]
    assert {url.split("/")[-3] for url in licenses.values()} == {"by", "by-sa"}
    assert sorted(path.name for path in (folder / "images").iterdir()) == sorted(
        i["file_name"] for i in table["images"]
    )
    for image in table["images"]:
        (line,) = (line for line in credits if line.startswith(f"| {image['id']} |"))
        assert image["flickr_url"] in line
        assert licenses[image["license"]] in line
        assert len([entry for entry in table["annotations"] if entry["image_id"] == image["id"]]) == 5
    assert sum(path.stat().st_size for path in (folder / "images").iterdir()) < 120_000


def test_the_wheel_is_configured_to_hold_the_course(root):
    build = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    wheel = build["wheel"]
    assert wheel["sources"] == {name: f"limner/course/{name}" for name in ("tutorials", "comparisons")}
    assert set(wheel["sources"]) <= set(wheel["packages"])
    assert set(wheel["sources"]) <= set(build["sdist"]["include"])
    assert wheel["dev-mode-dirs"] == ["core", "plugins"], "an editable install is a plain path file"
    excluded = [pattern.lstrip("/") for pattern in wheel["exclude"]]
    assert not any(fnmatch("tutorials/00_quickstart.ipynb", pattern) for pattern in excluded)
    assert any(fnmatch("tutorials/00_quickstart.py", pattern) for pattern in excluded)


@pytest.mark.slow
def test_a_built_wheel_provides_the_course(root, tmp_path):
    """Needs the build backend."""
    pytest.importorskip("hatchling")
    code = f"import os, hatchling.build as b; os.chdir({str(root)!r}); b.build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    with ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        wheel.extractall(tmp_path / "site")
    lessons = {f"limner/course/tutorials/{path.name}" for path in (root / "tutorials").glob("[0-9]*.ipynb")}
    assert lessons <= set(names)
    assert "limner/course/tutorials/photographs/SOURCE.md" in names
    assert not [name for name in names if name.startswith("limner/course/tutorials") and name.endswith(".py")]
    code = "from limner.course.lessons import home; print(home())"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{tmp_path / 'site/limner/course'}\n"


def test_copying_the_course_imports_no_torch(course, here):
    code = (
        "import sys, limner.course.lessons, pathlib\n"
        "limner.course.lessons.write_course(pathlib.Path('mine'))\n"
        "heavy = {'torch', 'nbformat', 'jupytext', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_table_of_the_article_names_headings_that_are_there(root):
    table = (root / "tutorials/README.md").read_text(encoding="utf-8")
    places = re.findall(r"\((\w+)\.ipynb\): ((?:\*[^*]+\*(?:, )?)+)", table)
    missing = []
    for lesson, headings in places:
        there = re.findall(
            r"^# #+ (?:\w+\. )?(.+)$", (root / f"tutorials/{lesson}.py").read_text(encoding="utf-8"), re.M
        )
        missing += [f"{lesson}: {name}" for name in re.findall(r"\*([^*]+)\*", headings) if name not in there]
    assert missing == []
    assert len(places) > 20
