"""The demo: its answers, the command that serves it, and its page in a real browser."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from limner.play import browser, pages
from limner.play.browser import Demo
from limner.play.studio import STEPS

PROMPT = "a red circle above a blue square"


@pytest.fixture
def demo(quickstart) -> Demo:
    return Demo(quickstart)


# --- the answers ----------------------------------------------------------------------------------------------------


def test_a_prompt_is_painted_read_and_judged(demo):
    html, sheet = demo.paint(PROMPT, 3, 3.0, 4, 8, None)
    assert html.count("<img") == 4
    assert re.search(r"✓ as asked.*“a[^”]* (red|blue) ", html)
    assert demo.look(sheet, 2, 1).count("<img") == 2
    assert demo.stages(sheet, 1).count("<img") == 1
    assert demo.between(sheet, 1, "a green star above a pink heart", 2).count("<img") == STEPS
    assert "<mark>elephant</mark>" in demo.mark("a red elephant")


def test_bad_input_is_one_sentence(demo, hostile):
    for html in (demo.mark(hostile), demo.paint(hostile, 0, 3.0, 4, 1, None)[0]):
        assert html.startswith(pages.page('<div class="limner-note" role="alert">').removesuffix("</div>"))
        assert "<script" not in html


def test_empty_controls_are_one_sentence_too(demo):
    assert "The prompt is empty" in demo.mark(None)
    html, sheet = demo.paint(PROMPT, None, 3.0, 4, 1, None)
    assert (sheet, "seed: expected a whole number" in html) == (None, True)
    assert demo.look(None, 1, 1) == demo.stages(None, 1) == ""
    assert "paint one first" in demo.between(None, 1, "", 0)
    _, sheet = demo.paint(PROMPT, 0, 3.0, 1, 1, None)
    assert demo.look(sheet, None, 99) == ""
    assert demo.look(sheet, 99, 1) == demo.look(sheet, 1, 1)


# --- the command ----------------------------------------------------------------------------------------------------


class Page:
    """A page that is not really served; `options` are those of each try."""

    def __init__(self):
        self.options: list[dict[str, Any]] = []
        self.taken = False

    def launch(self, **options: Any) -> tuple[None, str, str | None]:
        self.options.append(options)
        if self.taken:
            raise OSError("Cannot find empty port in range")
        return None, "http://127.0.0.1:7860/", "https://public.example" if options["share"] else None

    def block_thread(self) -> None:
        """A real page would wait for Ctrl-C."""


@pytest.fixture
def launched(monkeypatch) -> Page:
    """The page that the command makes, without Gradio."""
    page = Page()
    monkeypatch.setitem(sys.modules, "gradio", SimpleNamespace(themes=SimpleNamespace(Default=dict)))
    monkeypatch.setattr(browser, "build_page", lambda studio, title: page)
    return page


def test_only_this_machine_is_served_unless_asked(command, trained, launched):
    assert command("demo", trained, "--no-open") == (0, "The demo is at http://127.0.0.1:7860/. Ctrl-C ends it.\n", "")
    status, out, _ = command("demo", trained, "--with", trained, "--port", 8123, "--share")
    assert (status, out.splitlines()[1]) == (0, "Its public address is https://public.example.")
    kept = ("server_name", "server_port", "share", "inbrowser")
    assert [[options[name] for name in kept] for options in launched.options] == [
        ["127.0.0.1", None, False, False],
        ["127.0.0.1", 8123, True, True],
    ]


def test_a_taken_port_is_one_sentence(command, trained, launched):
    launched.taken = True
    told = "Error: Port 80 is taken; choose another with --port.\n"
    assert command("demo", trained, "--port", 80) == (1, "", told)


@pytest.mark.usefixtures("launched")
def test_a_missing_run_is_one_sentence(command):
    status, out, err = command("demo", "nowhere")
    assert (status, out) == (1, "")
    assert err.startswith("Error: There is no run folder nowhere")


def test_without_gradio_one_sentence_says_what_to_install(command, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    told = 'Error: The demo needs Gradio, which is not installed; pip install "limner[demo]" brings it.\n'
    assert command("demo", trained) == (1, "", told)


# --- in a real browser ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """The folder in which Gradio would store files."""
    return tmp_path_factory.mktemp("gradio")


@pytest.fixture(scope="module")
def address(stored, free_port) -> Iterator[str]:
    """Where `limner demo quickstart` serves its page."""
    if find_spec("gradio") is None:
        pytest.skip('the demo needs pip install "limner[demo]"')
    if find_spec("playwright") is None:
        pytest.skip("this test needs pip install playwright")
    line = [sys.executable, "-m", "limner", "demo", "quickstart", "--no-open", "--port", str(free_port)]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(stored), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == f"The demo is at http://127.0.0.1:{free_port}/. Ctrl-C ends it.\n"
        yield f"http://127.0.0.1:{free_port}/"
        server.kill()


@pytest.fixture
def page(chromium, address) -> Iterator[Any]:
    """The open page. At the end, it asked no other host for anything, and reported no error."""
    opened = chromium.new_page(viewport={"width": 1280, "height": 1000})
    outside, errors = [], []
    own_hosts = (address, "data:", "blob:")
    opened.on("request", lambda request: None if request.url.startswith(own_hosts) else outside.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(address)
    opened.wait_for_selector("#grid img")
    yield opened
    opened.close()
    assert (outside, errors) == ([], [])


@pytest.mark.slow
def test_the_demo_in_a_browser(page):
    page.fill("#prompt textarea", "a red elephant above a blue square")
    assert page.inner_text("#marks mark") == "elephant"
    page.fill("#prompt textarea", PROMPT)
    page.click("#paint")
    page.wait_for_selector("#words label:has-text('circle')")
    assert page.locator("#grid img").count() == 4
    assert page.locator("#grid .limner-right, #grid .limner-wrong").count() == 4
    assert re.search("red|blue", page.locator("#grid .limner-reading").first.inner_text())

    page.click("#words label:has-text('circle')")
    page.wait_for_selector("#maps img")
    circle = page.locator("#maps img").first.get_attribute("src")
    page.click("#words label:has-text('square')")
    page.wait_for_function("before => document.querySelector('#maps img')?.src !== before", arg=circle)

    page.click("text=Interpolation")
    page.fill("#other textarea", "a green star above a pink heart")
    page.click("#interpolate")
    page.wait_for_selector("#between img")
    assert page.locator("#between img").count() == STEPS

    page.fill("#prompt textarea", "<i>red</i> ${1}{{x}}")
    page.wait_for_selector("#marks mark")
    assert page.inner_text("#marks .limner-prompt") == "<i>red</i> ${1}{{x}}"
    assert page.locator("#marks i").count() == 0

    page.fill("#prompt textarea", "🎨" * 10_001)
    page.click("#paint")
    page.wait_for_selector("#grid .limner-note")
    assert "letters, at most 10000 are read" in page.inner_text("#grid")


@pytest.mark.slow
def test_nothing_is_stored(page, stored):
    page.fill("#prompt textarea", PROMPT)
    page.click("#paint")
    page.wait_for_selector("#words label:has-text('circle')")
    assert [path for path in stored.rglob("*") if path.is_file()] == []
