"""The site: it builds without warnings, it is complete, and its pages load nothing from other sites."""

import html
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import limner
import pytest
from limner import PluginHost, hooks
from limner.kinds import COMPONENTS, KINDS
from limner.recipes.options import option_model
from limner.reference.describe import describe_component

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/authors.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as by `make docs` where npm is not installed; tests/docs has the page that paints."""
    for module in ("mkdocs", "material", "latex2mathml"):
        pytest.importorskip(module, reason="the site needs pip install limner[docs]")
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # the theme's advertisement, as in the Makefile
    environment["PATH"] = str(Path(sys.executable).parent)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not re.search("WARNING|ERROR", done.stderr), done.stderr
    return folder


def text_of(page: Path) -> str:
    """The text of a page without tags, on one line."""
    return " ".join(html.unescape(re.sub("<[^>]+>", "", page.read_text(encoding="utf-8"))).split())


def test_the_site_has_every_hook_and_interface(site):
    text = text_of(site / "reference/hooks.html")
    assert [hook for hook in vars(hooks) if hook.startswith("limner_") and f"def {hook}(" not in text] == []
    text = text_of(site / "reference/interfaces.html")
    assert [kind for kind in COMPONENTS.values() if f"class {kind.interface_name}(" not in text] == []


@pytest.mark.parametrize("kind", COMPONENTS)
def test_the_site_has_every_component_and_option(site, kind):
    host = PluginHost()
    text = (site / f"reference/{KINDS[kind].plural}.html").read_text(encoding="utf-8")
    sections = dict(re.findall(r'<h2 id="([^"]+)">(.*?)(?=<h2|</article)', text, re.DOTALL))
    for name, component in host.components(kind).items():
        assert f"as <code>{component.value}</code>" in sections[name]
        for option in option_model(host.load(kind, name)).model_fields:
            assert f"<td><code>{option}</code></td>" in sections[name]


def test_the_site_has_every_recipe_command_and_lesson(site):
    text = text_of(site / "reference/recipes.html")
    assert all(name in text for name in PluginHost().components("recipe"))
    text = text_of(site / "reference/commands.html")
    assert all(f"limner {name}" in text for name in ("train", "describe", "data coco"))
    for notebook in (ROOT / "tutorials").glob("[0-9]*.ipynb"):
        lesson = (site / f"lessons/{notebook.stem}.html").read_text(encoding="utf-8")
        for picture in re.findall(r'<img [^>]*src="([^"]+)"', lesson):
            assert (site / "lessons" / picture).is_file()
        assert not re.search(r"\$[^$\n<]+\$", lesson), "an equation is not rendered"
        assert not re.search(r"<p>[^<]*`[^<]*</p>", lesson), "Markdown is not rendered"


def test_without_npm_the_page_says_that_it_does_not_paint(site):
    page = site / "paint.html"
    assert "Painting is not part of this build of the site: npm is not installed." in text_of(page)
    assert "limner export quickstart --to onnx" in text_of(page)
    assert "paint/page.js" not in page.read_text(encoding="utf-8")


def test_a_page_loads_nothing_from_other_sites(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert 'name="viewport" content="width=device-width' in text
        fetched = re.findall(
            r'<(?:script|img|iframe)[^>]* src="?([^" >]+)|<link rel="?stylesheet"? href="?([^" >]+)', text
        )
        assert [path for paths in fetched for path in paths if "//" in path] == []


@pytest.fixture
def forgotten():
    """After the test, forget the imported modules of its plugin: other tests use the same names."""
    yield
    for name in [name for name in sys.modules if name.startswith("limner_glow")]:
        del sys.modules[name]


@pytest.mark.usefixtures("forgotten")
def test_the_plugin_of_the_authors_page_works(install, recipe, monkeypatch):
    written = re.findall(r'```\w+ title="(.*?)"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    files = dict(written)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    site = install(project["name"], project["version"], project["entry-points"]["limner"])
    for name, text in files.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(text)
    host = PluginHost()
    found = describe_component(host, "loss", "least-squares")
    assert (found.plugin, found.distribution) == ("glow", "limner-glow")
    [option] = found.options
    assert option.name == "target"
    assert f"`target`: {option.about}" in files["limner_glow/losses.py"]
    losses = limner.Recipe.read(host, site / "glow.toml").losses
    assert "hinge" not in losses
    assert losses["least-squares"].options == {"target": 0.9}
    recipe["losses"] = {"least-squares": {}}
    limner.train(recipe, quiet=True, plugins=host)
    (site / "glow.toml").write_text(files["glow.toml"] + "\n[data]\ncount = 64\n")  # a step needs no more scenes
    monkeypatch.chdir(site)
    monkeypatch.setattr("limner.testing.waiting.host", lambda: host)  # as if it was installed before this process
    tests = [block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "def test" in block]
    assert len(tests) == 2
    for test in tests:
        scope = {}
        exec(test, scope)
        [run] = [value for name, value in scope.items() if name.startswith("test_")]
        run()
