"""The page "Paint in your browser" in a real browser: what it paints, what it refuses, and that it asks nobody else."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from einops import rearrange
from limner_scenes import judge
from limner_scenes.parsing import parse

pytestmark = pytest.mark.slow

PROMPTS = [
    "a red circle above a blue square",
    "a blue circle with a pink square above it",
    "a green star to the left of a yellow circle",
    "a red heart below a cyan square on a gray background",
]
IN_ONE_WORDING = [
    "a red circle above a blue square",
    "a green star to the left of a yellow circle",
    "a pink heart below a green square",
    "a blue triangle to the right of an orange circle",
]
"""Prompts in the only wording that scenes-128 was trained on."""
READ = """canvas => {
  const context = Object.assign(document.createElement('canvas'), {width: canvas.width, height: canvas.height})
    .getContext('2d', {willReadFrequently: true}); // reading the canvas itself twice would give a warning
  context.drawImage(canvas, 0, 0);
  return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory, root) -> Path:
    """The site with ONNX Runtime from npm's cache: this test fetches nothing."""
    for module in ("mkdocs", "material", "latex2mathml", "onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module, reason="the page needs pip install limner[docs]")
    folder = tmp_path_factory.mktemp("paint") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "npm_config_offline": "true"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    if not (folder / "paint" / "ort").is_dir():
        reason = re.search("Painting is not part of this build.*", (folder / "paint.html").read_text(encoding="utf-8"))
        assert reason
        pytest.skip(f"{reason[0]} `make docs` fetches what it needs")
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and prints nothing."""

    def log_message(self, format: str, *_: object) -> None:
        """Nothing is said about a request."""


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    """Where the page is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/paint.html"
        server.shutdown()


@pytest.fixture
def page(chromium, address) -> Iterator[Any]:
    """The open page. At the end, it asked no other host for anything, and reported nothing."""
    opened = chromium.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    opened.set_default_timeout(120_000)
    outside, said = [], []
    own = (address.removesuffix("paint.html"), "data:", "blob:")
    opened.on("request", lambda request: None if request.url.startswith(own) else outside.append(request.url))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    opened.goto(address)
    opened.wait_for_selector("#paint-try button")
    yield opened
    opened.close()
    assert (outside, said) == ([], [])


def start(page: Any, prompt: str) -> None:
    """Ask for a prompt, and wait until it is painted or refused."""
    page.fill("#paint-prompt", prompt)
    page.click("#paint-start")
    page.wait_for_selector("#paint-start:not([disabled])")


def pixels(page: Any) -> torch.Tensor:
    """The pictures as they are on the page, [N, 3, H, W] in [-1, 1]."""
    found = [torch.tensor(one.evaluate(READ)) for one in page.query_selector_all("#paint-pictures canvas")]
    side = int((len(found[0]) / 4) ** 0.5)
    images = rearrange(torch.stack(found), "n (h w c) -> n c h w", h=side, c=4)
    assert (images[:, 3] == 255).all()
    return images[:, :3] / 127.5 - 1


def exact(images: torch.Tensor, prompt: str) -> int:
    """How many images the judge finds exactly right."""
    asked = torch.tensor([parse(prompt)] * len(images))
    return int(judge.score(judge.read(images), asked)["exact"].sum())


@pytest.mark.parametrize(("model", "size"), [("quickstart", 32), ("scenes-128", 128)])
def test_the_page_paints_what_is_asked_for(page, model, size):
    page.select_option("#paint-model", model)
    page.wait_for_selector("#paint-pictures canvas")
    page.fill("#paint-count", "1")
    painted = {}
    for prompt in PROMPTS if model == "quickstart" else IN_ONE_WORDING:
        start(page, prompt)
        painted[prompt] = pixels(page)
        assert painted[prompt].shape == (1, 3, size, size)
    assert sum(exact(images, prompt) for prompt, images in painted.items()) >= 3
    prompt, images = painted.popitem()
    page.fill("#paint-count", "3")
    start(page, prompt)
    assert torch.equal(pixels(page)[:1], images)  # an image keeps its noise
    assert len(pixels(page)) == 3
    page.fill("#paint-seed", "1")
    start(page, prompt)
    assert not torch.equal(pixels(page)[:1], images)


def test_unknown_words_are_marked_and_a_prompt_to_try_is_painted(page):
    page.fill("#paint-prompt", "a red elephant above a blue square")
    page.wait_for_selector("#paint-marks mark")
    assert page.locator("#paint-marks mark").all_inner_texts() == ["elephant"]
    page.locator("#paint-try button").nth(1).click()
    page.wait_for_selector("#paint-pictures canvas")
    assert page.locator("#paint-pictures canvas").count() == 8
    assert page.input_value("#paint-prompt") == page.locator("#paint-try button").nth(1).inner_text()
    assert page.locator("#paint-marks mark").count() == 0
    canvas = page.locator("#paint-pictures canvas").first
    assert canvas.evaluate("one => getComputedStyle(one).imageRendering") == "pixelated"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


REFUSED = {
    "": "The prompt is empty; say what to paint.",
    "a" * 10_001: "The prompt has 10001 letters, at most 10000 are read; make it shorter.",
    "a red circle " * 700: "The prompt has 2102 tokens and the model reads at most 24; make it shorter.",
    "🎨🖌️": "No word of the prompt was in the training captions; the model knows ",
    "<img src=x onerror=\"document.title='run'\">": "The prompt has ",
}


def test_bad_input_is_one_sentence_and_runs_nothing(page):
    for prompt, told in REFUSED.items():
        start(page, prompt)
        assert page.inner_text("#paint-note").startswith(told)
        assert page.locator("#paint-pictures canvas").count() == 0
    start(page, "a <b>red</b> circle <i>")
    assert page.locator("#paint-marks mark").all_inner_texts() == ["b", "b", "i"]
    assert page.locator("#paint-marks b, #paint-marks i").count() == 0
    assert page.locator("#paint-pictures canvas").count() == 8
    page.fill("#paint-count", "1000")
    start(page, PROMPTS[0])
    assert page.inner_text("#paint-note") == "Pictures: expected a whole number from 1 to 16."
    assert page.title() == "Paint - Limner"
