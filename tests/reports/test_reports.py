"""Reports: what is on the page, what is said to be missing, and that nothing from outside becomes markup."""

import html
import json
import re
import shutil
from pathlib import Path

import limner
import pytest
import tomli_w
from limner import LimnerError
from limner.reports.charts import bars, curves

pytestmark = pytest.mark.slow

MARKUP = "</h3><script>document.title = 'run'</script><img src=x onerror=alert(1)> a red circle"


def read(page: Path) -> str:
    """The text of a page, without tags, on one line."""
    source = re.sub("<style>.*?</style>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", source)).split())


def sections(page: Path) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory) -> Path:
    """The report of the model that comes along: it has attention, a captioner, and a judge of its data."""
    return limner.report("quickstart", tmp_path_factory.mktemp("report") / "deep/quickstart.html")


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A run folder that a test may change."""
    return shutil.copytree(trained, tmp_path / "run")


# --- a run ----------------------------------------------------------------------------------------------------------


def test_a_run_is_shown_from_its_recipe_to_its_failures(quickstart):
    assert sections(quickstart) == [
        "Overview",
        "Losses",
        "During training",
        "Images",
        "Scores",
        "Asked and shown",
        "Failures",
        "Attention",
        "Recipe",
    ]
    text, source = read(quickstart), quickstart.read_text(encoding="utf-8")
    assert "like quickstart" in text
    assert "2,400 of 2,400" in text
    assert "held-out wordings" in text
    assert re.search(r"\d+ of 160 images do not show all that their prompts ask for", text)
    assert source.count("<svg") == 6, "a panel for both players, and one for each loss"
    assert re.search(r"“a[^”]* (red|blue|pink) ", text), "what the captioner reads"
    assert "8 x 8 places" in text, "attention"
    assert 'name = "phrase"' in text, "the recipe"
    assert "no pictures of the training" in text


def test_what_was_asked_and_shown_adds_up(quickstart):
    tables = re.findall("<table class=.confusion.>.*?</table>", quickstart.read_text(encoding="utf-8"))
    counts = [sum(map(int, re.findall(r">(\d+)</td>", table))) for table in tables]
    assert counts[:2] == [320, 320], "two objects of each of 160 prompts have a color and a shape"
    assert 0 < counts[2] < 160, "some prompts name the background"


def test_pictures_of_a_run_are_in_its_report(run, tmp_path):
    page = limner.report(run, tmp_path / "report.html")
    assert 'alt="film strip"' in page.read_text()
    assert "There are no losses" in read(page), "three steps are too few"
    assert f"`limner evaluate {run}` measures it" in read(page)
    assert "no attention to words" in read(page)


def test_a_run_that_is_not_finished_is_shown_as_far_as_it_came(run, tmp_path):
    (run / "weights.safetensors").unlink()
    (run / "state.safetensors").unlink()
    (run / "pictures/film.png").unlink()
    (run / "pictures/step_000003.png").unlink()
    recipe = (run / "recipe.toml").read_text().replace("steps = 3", "steps = 300")
    (run / "recipe.toml").write_text(recipe)
    page = limner.report(run, tmp_path / "report.html")
    text = read(page)
    assert "This training is not finished: it made 2 of 300 steps." in text
    assert "The model cannot be loaded" in text
    assert "has no weights.safetensors" in text
    assert "There is no film strip" in text
    assert page.read_text().count('class="sheet"') == 3


def test_damaged_pictures_are_told(run, tmp_path):
    (run / "pictures/film.png").write_bytes(b"<svg onload='alert(1)'>")
    assert "film.png cannot be shown" in read(limner.report(run, tmp_path / "report.html"))


def test_nothing_from_a_run_becomes_markup(run, tmp_path):
    table = limner.load(run).recipe.table() | {"title": MARKUP, "prompts": [MARKUP, "a red circle"]}
    (run / "recipe.toml").write_text(tomli_w.dumps(table))
    (run / "scores.json").write_text(json.dumps({f"{MARKUP}/exact": 0.5}))
    (run / "history.json").write_text(json.dumps([{"step": 10, f"{MARKUP}/generator": 1.0, "generator": 2.0}]))
    odd = run.rename(tmp_path / "<b>run")
    page = limner.report(odd, tmp_path / "report.html")
    source = page.read_text(encoding="utf-8")
    assert "<script" not in source
    assert "<img src=x" not in source
    assert "<b>" not in source.split("<body>")[1]
    assert source.count("document.title = &#39;run&#39;") >= 3
    assert read(page).count("document.title = 'run'") >= 3


@pytest.mark.parametrize(
    ("make", "out", "message"),
    [
        (lambda folder: folder.mkdir(), "r.html", "is neither a run nor a comparison: it has no recipe.toml"),
        (lambda folder: None, "r.html", "There is no run folder"),
        (lambda folder: folder.write_text(""), "r.html", "There is no run folder"),
        (lambda folder: None, "r.pdf", "give it the ending .html"),
        (lambda folder: None, "r", "give it the ending .html"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(tmp_path, make, out, message):
    make(tmp_path / "folder")
    with pytest.raises(LimnerError, match=message):
        limner.report(tmp_path / "folder", tmp_path / out)
    assert not (tmp_path / out).exists()


# --- a comparison ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared(tmp_path_factory, smallest_recipe) -> Path:
    """The folder of a tiny comparison of two variants and two ways to sample one of them."""
    folder = tmp_path_factory.mktemp("compared") / "found"
    vary = {"generator.noise": [4, 8], "sampling.truncation": [1, 2]}
    limner.compare(smallest_recipe(), vary, seeds=1, out=folder, quiet=True)
    return folder


def test_a_comparison_is_shown_with_images_of_each_variant(compared, tmp_path):
    page = limner.report(compared, tmp_path / "report.html")
    assert sections(page) == ["Summary", "Chart", "Differences", "Every run", "Images"]
    source, text = page.read_text(encoding="utf-8"), read(page)
    assert source.split("<h2>Images</h2>")[1].count("<h3>") == 4
    assert "noise=4" in text.replace("generator.noise 4", "noise=4")
    assert "One seed, so the spread is unknown." in text
    assert source.count("<svg") == len(limner.load_comparison(compared).metrics)


def test_a_comparison_without_its_runs_says_so(compared, tmp_path):
    shutil.copy(compared / "results.json", tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    results["missing"], results["source"], results["runs"] = 1, MARKUP, results["runs"][1:]
    (tmp_path / "results.json").write_text(json.dumps(results))
    page = limner.report(tmp_path, tmp_path / "report.html")
    assert "1 runs are still missing" in read(page)
    assert "The comparison keeps no pictures of any variant" in read(page)
    assert "<script" not in page.read_text(encoding="utf-8")


# --- charts ---------------------------------------------------------------------------------------------------------


def test_charts_leave_out_what_is_not_finite():
    nan = float("nan")
    drawn = curves("loss", {"generator": [(1.0, 2.0), (2.0, nan), (3.0, 4.0)], "discriminator": [(1.0, nan)]})
    assert re.search(r'points="[\d., ]+"', drawn)
    assert "nan" not in drawn
    assert "discriminator" not in drawn
    assert curves("loss", {"generator": [(1.0, nan)]}) == ""
    assert bars("score", {"a": [nan]}) == ""
    assert bars("score", {"a": [nan], "b": [-2.0, -1.0]}).count("<circle") == 2


def test_long_curves_have_few_points():
    drawn = curves("loss", {"generator": [(float(step), 1.0) for step in range(10_000)]})
    assert drawn.split('points="')[1].split('"')[0].count(",") <= 240


# --- in a real browser ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", ["run", "comparison"])
def test_a_report_in_a_browser(chromium, quickstart, compared, tmp_path, width, kind):
    file = quickstart if kind == "run" else limner.report(compared, tmp_path / "compared.html")
    page = chromium.new_page(viewport={"width": width, "height": 900})
    outside, errors = [], []
    own = ("file:", "data:")
    page.on("request", lambda request: None if request.url.startswith(own) else outside.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    assert (outside, errors) == ([], [])
    assert page.evaluate("document.documentElement.scrollWidth") == width, "only tables and film strips scroll"
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.evaluate("[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.hash))")
    page.close()
