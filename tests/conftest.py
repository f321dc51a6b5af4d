"""Fixtures for all tests: one thread, no network, a tiny recipe, small folders of images, a trained model."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("LIMNER_PLUGINS", None)

import limner
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from limner import PluginHost, Sizes, Step
from limner.cli.app import main
from limner.plugins import host
from limner.testing import tiny_recipe, tiny_sizes
from PIL import Image

torch.set_num_threads(1)  # competing threads are 3 to 10 times slower

SLOW = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("quick", max_examples=100, derandomize=True, **SLOW)
settings.register_profile("fuzz", max_examples=10_000, print_blob=True, **SLOW)  # HYPOTHESIS_PROFILE=fuzz
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

ROOT = Path(__file__).parents[1]
COLORS = {"red": (255, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tests, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the cells of notebooks, so that `-m "not notebook"` leaves them out, and leave out the slow tests."""
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.notebook)
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="it is slow; --slow runs it"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data(root: Path) -> Path:
    """Real captioned photographs, which only some machines have beside the repository."""
    folder = root.parent / "shared" / "data"
    if not (folder / "coco_mini" / "captions.json").is_file():
        pytest.skip(f"there are no real photographs in {folder}")
    return folder


def tiny() -> dict[str, Any]:
    """A recipe of bundled components that trains in a fraction of a second: 64 scenes of 16 pixels, three steps."""
    return tiny_recipe(
        data={"name": "scenes", "count": 64},
        encoder={"name": "mlp", "width": 16, "hidden": 16},
        generator={"name": "convolutional", "channels": [8, 8], "noise": 8},
        discriminator={"name": "convolutional", "channels": [8, 8, 8], "head": 8},
        losses={"hinge": {}, "r1": {"weight": 0.1}, "sentence-contrast": {"width": 8}, "noise-reading": {}},
        prompts=["a red circle above a blue square", "a green square above a red circle"],
        training={"steps": 3, "batch_size": 8, "precision": "float32"},
    )


@pytest.fixture
def recipe() -> dict[str, Any]:
    """The tiny recipe; a test may change it."""
    return tiny()


@pytest.fixture(scope="session")
def smallest_recipe() -> Callable[[], dict[str, Any]]:
    """Makes a recipe that trains faster than the tiny one: one loss, one quick metric, 16 scenes, two steps."""
    return lambda: tiny_recipe(
        data={"name": "scenes", "count": 16},
        encoder={"name": "mlp", "width": 8, "hidden": 8},
        generator={"name": "convolutional", "channels": [8, 8], "noise": 8, "mapping": 8},
        discriminator={"name": "convolutional", "channels": [8, 8], "head": 8},
        losses={"hinge": {}},
        metrics={"scene-diversity": {"prompts": 2, "images": 2}},
        prompts=["a red circle above a blue square"],
        training={"steps": 2, "batch_size": 8, "precision": "float32", "preview_every": 1.0},
    )


@pytest.fixture
def plugins() -> PluginHost:
    """A new plugin host with everything that is installed."""
    return PluginHost()


@pytest.fixture(scope="session")
def sizes() -> Sizes:
    """Sizes for building the parts of a small model; the resolutions are left open."""
    return tiny_sizes().knowing(resolutions=())


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a tiny trained model; tests only read it."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    limner.train(tiny(), folder, quiet=True)
    return folder


@pytest.fixture
def make_step() -> Callable[..., Step]:
    """Makes a `Step` with given values (judgements, batch, ...), without any network."""

    def make(**values: Any) -> Step:
        step = object.__new__(Step)
        vars(step).update(values)
        return step

    return make


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder in the COCO layout: `count` small images of one color each, with captions that name the color."""

    def make(name: str = "photos", count: int = 8, captions: Mapping[int, list[str]] | None = None) -> Path:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        images, annotations = [], []
        for number in range(count):
            color = list(COLORS)[number % len(COLORS)]
            file = f"{number:03d}.png"
            Image.fromarray(np.full((20, 24, 3), COLORS[color], np.uint8)).save(folder / "images" / file)
            images.append({"id": number, "file_name": file})
            for text in (captions or {}).get(number, [f"a plain {color} wall", f"nothing but {color} number {number}"]):
                annotations.append({"id": len(annotations), "image_id": number, "caption": text})
        (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
        return folder

    return make


@pytest.fixture
def two_processes(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script in two processes that train together, in the test's folder, with arguments."""

    def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "script.py").write_text(script)
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        return subprocess.run(
            [*launch, "script.py", *arguments],
            capture_output=True,
            text=True,
            timeout=240,
            cwd=tmp_path,
            env=os.environ | {"PYTHONFAULTHANDLER": "1"},
        )

    return run


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a distribution for one test: its modules, and the metadata that pip would write beside them.

    `install("limner-glow", "1.2", {"glow": "limner_glow"}, limner_glow="the module's source")`.
    """
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def make(name: str, version: str, entry_points: Mapping[str, str], **sources: str) -> Path:
        for module, source in sources.items():
            (site / f"{module}.py").write_text(source)
        metadata = site / f"{name.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{entry} = {value}" for entry, value in entry_points.items()]
        (metadata / "entry_points.txt").write_text("\n".join(["[limner]", *lines]))
        return site

    yield make
    for name, module in list(sys.modules.items()):
        known = getattr(module, "__dict__", {})
        places = [known.get("__file__"), *(known.get("__path__") or ())]  # a folder with recipes only has no file
        if any(str(place).startswith(str(site)) for place in places):
            del sys.modules[name]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window; the test is skipped where there is none."""
    if find_spec("playwright") is None:
        pytest.skip("this test needs pip install playwright")
    with import_module("playwright.sync_api").sync_playwright() as running:
        own = running.chromium.executable_path
        found = own if Path(own).exists() else shutil.which("chromium") or shutil.which("google-chrome")
        if found is None:
            pytest.skip("this test needs a browser: playwright install chromium")
        opened = running.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs the command line in this process and returns (status, standard output, standard error)."""
    monkeypatch.setenv("COLUMNS", "200")  # wide enough for every table

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["limner", *map(str, arguments)])
        host.cache_clear()
        capsys.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # print warnings instead of raising them
            try:
                main()
                status = 0
            except SystemExit as end:
                status = int(end.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    yield run
    host.cache_clear()
