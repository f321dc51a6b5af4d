"""The site: it is built without a warning, everything is in it, and it fetches nothing from elsewhere."""

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
from limner.reference.describe import description

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/authors.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    for module in ("mkdocs", "material", "latex2mathml"):
        pytest.importorskip(module, reason="the site needs pip install limner[docs]")
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # the theme's advertisement, as in the Makefile
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not re.search("WARNING|ERROR", done.stderr), done.stderr
    return folder


def text_of(page: Path) -> str:
    """What a page says, without its marks, on one line."""
    return " ".join(html.unescape(re.sub("<[^>]+>", "", page.read_text(encoding="utf-8"))).split())


def test_every_hook_and_every_interface_is_in_it(site):
    told = text_of(site / "reference/hooks.html")
    assert [hook for hook in vars(hooks) if hook.startswith("limner_") and f"def {hook}(" not in told] == []
    told = text_of(site / "reference/interfaces.html")
    assert [kind for kind in COMPONENTS.values() if f"class {kind.interface_name}(" not in told] == []


@pytest.mark.parametrize("kind", COMPONENTS)
def test_every_component_is_in_it_with_every_option(site, kind):
    host = PluginHost()
    text = (site / f"reference/{KINDS[kind].plural}.html").read_text(encoding="utf-8")
    told = dict(re.findall(r'<h2 id="([^"]+)">(.*?)(?=<h2|</article)', text, re.DOTALL))
    for name, component in host.components(kind).items():
        assert f"as <code>{component.value}</code>" in told[name]
        for option in option_model(host.load(kind, name)).model_fields:
            assert f"<td><code>{option}</code></td>" in told[name]


def test_every_recipe_command_and_lesson_is_in_it(site):
    told = text_of(site / "reference/recipes.html")
    assert all(name in told for name in PluginHost().components("recipe"))
    told = text_of(site / "reference/commands.html")
    assert all(f"limner {name}" in told for name in ("train", "describe", "data coco"))
    for notebook in (ROOT / "tutorials").glob("[0-9]*.ipynb"):
        lesson = (site / f"lessons/{notebook.stem}.html").read_text(encoding="utf-8")
        for picture in re.findall(r'<img [^>]*src="([^"]+)"', lesson):
            assert (site / "lessons" / picture).is_file()
        assert not re.search(r"\$[^$\n<]+\$", lesson), "an equation that was not drawn"
        assert not re.search(r"<p>[^<]*`[^<]*</p>", lesson), "Markdown that was not read"


def test_a_page_fetches_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert 'name="viewport" content="width=device-width' in text
        fetched = re.findall(
            r'<(?:script|img|iframe)[^>]* src="?([^" >]+)|<link rel="?stylesheet"? href="?([^" >]+)', text
        )
        assert [path for paths in fetched for path in paths if "//" in path] == []


@pytest.fixture
def forgotten():
    """After the test, the modules of its plugin are imported no longer: others are called the same."""
    yield
    for name in [name for name in sys.modules if name.startswith("limner_glow")]:
        del sys.modules[name]


@pytest.mark.usefixtures("forgotten")
def test_the_plugin_that_authors_are_shown_works(install, recipe):
    written = re.findall(r'```\w+ title="(.*?)"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    files = dict(written)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    site = install(project["name"], project["version"], project["entry-points"]["limner"])
    for name, text in files.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(text)
    host = PluginHost()
    found = description(host, "loss", "least-squares")
    assert (found.plugin, found.distribution) == ("glow", "limner-glow")
    assert [(option.name, option.about) for option in found.options] == [
        ("target", "t, the score that a real image should get.")
    ]
    losses = limner.Recipe.read(host, site / "glow.toml").losses
    assert "hinge" not in losses
    assert losses["least-squares"].options == {"target": 0.9}
    recipe["losses"] = {"least-squares": {}}
    limner.train(recipe, quiet=True, plugins=host)
    [test] = [block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "def test" in block]
    scope = {}
    exec(test, scope)
    scope["test_it_keeps_the_contract"]()
