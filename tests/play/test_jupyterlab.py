"""The playground and the toy in JupyterLab, in a real browser."""

import os
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import nbformat
import pytest

CELLS = (
    'import limner\n\nlimner.playground(limner.load("quickstart"))',
    "limner.toy()",
)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory, free_port) -> Iterator[str]:
    """The address of a notebook with `CELLS` in a JupyterLab of its own, with settings of its own."""
    for package in ("jupyterlab", "ipywidgets"):
        if find_spec(package) is None:
            pytest.skip('this test needs pip install "limner[lab]"')
    home = tmp_path_factory.mktemp("lab")
    work = home / "work"
    work.mkdir()
    written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    written.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(written, work / "play.ipynb")
    quiet = home / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    folders = {"CONFIG_DIR": "config", "RUNTIME_DIR": "runtime"}
    environment = {
        **os.environ,
        **{f"JUPYTER_{name}": str(home / folder) for name, folder in folders.items()},
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "OMP_NUM_THREADS": "1",
    }
    token, server = secrets.token_hex(16), f"http://127.0.0.1:{free_port}"
    line = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={free_port}"]
    line += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={work}", "--LabApp.news_url=None"]
    line += ["--LabApp.extension_manager=readonly"]
    with (home / "log").open("w") as log, subprocess.Popen(line, env=environment, stdout=log, stderr=log) as running:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{server}/api?token={token}", timeout=1)
                break
            except OSError:
                time.sleep(0.25)
        yield f"{server}/lab/tree/play.ipynb?token={token}&reset"
        running.terminate()


@pytest.fixture
def cells(chromium, notebook) -> Iterator[tuple[Any, Any]]:
    """The output of each cell, after all were run. At the end, the page asked no other host for anything."""
    page = chromium.new_page(viewport={"width": 1280, "height": 2400})
    outside: list[str] = []
    own = (notebook.split("/lab")[0], notebook.split("/lab")[0].replace("http", "ws"), "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(own) else outside.append(request.url))
    page.set_default_timeout(120_000)
    page.goto(notebook)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', state="attached")
    while page.locator('.jp-CodeCell .jp-InputPrompt:text-is("[ ]:")').count():  # a cold start can swallow a click
        page.click('.lm-MenuBar-itemLabel:text-is("Run")')
        page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')
        page.wait_for_timeout(2000)
        if page.locator('.jp-Dialog button:has-text("Select")').count():  # it is asked while the kernel starts
            page.click('.jp-Dialog button:has-text("Select")')
    found = page.locator(".jp-CodeCell .jp-Cell-outputArea")
    found.nth(0).locator(".limner-grid img").first.wait_for()
    found.nth(1).locator("img").first.wait_for()
    yield found.nth(0), found.nth(1)
    page.close()
    assert outside == []


def write(place: Any, text: str) -> None:
    """Type a prompt into the field of the playground, in place of what it says."""
    field = place.locator('input[placeholder="Type a prompt"]')
    field.fill(text)
    field.press("Enter")


@pytest.mark.slow
def test_the_playground_and_the_toy_by_hand(cells):
    playground, toy = cells

    write(playground, "a red elephant above a blue square")
    playground.locator("mark", has_text="elephant").wait_for()
    write(playground, "a red circle above a blue square")
    playground.get_by_text("Every word is known.").wait_for()
    assert playground.locator(".limner-grid img").count() == 4
    assert playground.locator(".limner-right, .limner-wrong").count() == 4
    assert re.search("red|blue", playground.locator(".limner-reading").first.inner_text())

    circle = playground.locator(".widget-toggle-button", has_text="circle")
    circle.click()
    maps = playground.locator(".limner-maps img").first
    maps.wait_for()
    of_circle = maps.get_attribute("src")
    playground.locator(".widget-toggle-button", has_text="square").click()
    changes(maps, of_circle)

    write(playground, "<i>red</i> 🎨")
    playground.locator("mark").first.wait_for()
    assert playground.locator(".limner-prompt").inner_text() == "<i>red</i> 🎨"
    assert playground.locator(".limner-prompt i").count() == 0
    write(playground, "")
    playground.locator(".limner-note", has_text="empty").wait_for()

    picture = toy.locator("img").first
    before = picture.get_attribute("src")
    toy.locator("button", has_text="step").click()
    changes(picture, before)


def changes(picture: Any, before: str) -> None:
    """Wait until a picture is another one."""
    import_module("playwright.sync_api").expect(picture).not_to_have_attribute("src", before, timeout=60_000)
