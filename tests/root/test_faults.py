"""Faulty plugins, installed by pip: the message names plugin, version and remedy, and all others work."""

import json
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

HEALTHY = "from limner.hooks import hookimpl\nfrom limner import Loss\n\nclass Glow(Loss):\n    pass\n"


def hook(name: str, body: str) -> str:
    """The source of a hook."""
    return f"from limner.hooks import hookimpl\n\n@hookimpl\ndef {name}():\n    {body}\n"


NEWER = "API_VERSION = '1.99'\n"
FAULTS = {  # name: the module's source, the message
    "import-error": ("import no_such_module\n", "could not be imported: ModuleNotFoundError: No module named"),
    "syntax-error": ("def (\n", "could not be imported: SyntaxError"),
    "misspelt": (hook("limner_loses", "return {}"), "there is no hook 'limner_loses', did you mean 'limner_losses'"),
    "raising": (hook("limner_losses", "raise RuntimeError('no license')"), "limner_losses failed: .*no license"),
    "wrong-type": (hook("limner_losses", "return ['glow']"), "limner_losses must return a dict of names"),
    "newer": (NEWER + HEALTHY, r"needs the API 1\.99 of a newer Limner, this one has 1\.\d; upgrade limner"),
    "older": ("API_VERSION = '0.3'\n" + HEALTHY, r"was written for the API 0\.3, this Limner has 1\.\d"),
    "odd-version": ("API_VERSION = 1\n" + HEALTHY, r'API_VERSION must be a text such as "1\.\d", not 1'),
}
SOUND = {
    "one": (hook("limner_losses", "return {'shared': 'limner_one:A', 'alone': 'limner.testing:LeastSquares'}"), None),
    "two": (hook("limner_losses", "return {'shared': 'limner_two:A'}"), None),
    "sleepy": ("import time; time.sleep(0.4)\n" + hook("limner_losses", "return {}"), None),
    "earlier": ("API_VERSION = '1.0'\n" + hook("limner_losses", "return {}"), None),
    "exact": ("API_VERSION = '1.1'\n" + hook("limner_losses", "return {}"), None),
}
RIVALS = {"rival-a": "rival", "rival-b": "rival"}  # two distributions with one entry-point name


def wheel(folder: Path, name: str, source: str, entry: str | None = None) -> Path:
    """A wheel of one module and its entry point, as a build tool makes it, in version 1.2."""
    module, distribution = f"limner_{name.replace('-', '_')}", f"limner_{name.replace('-', '_')}"
    path = folder / f"{distribution}-1.2-py3-none-any.whl"
    info = f"{distribution}-1.2.dist-info"
    files = {
        f"{module}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: limner-{name}\nVersion: 1.2\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[limner]\n{entry or name} = {module}\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"]))
    return path


def pip_install(wheels: list[Path], site: Path) -> None:
    """Install wheels with pip into a separate folder."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*command, *map(str, wheels)], check=True, capture_output=True, text=True, timeout=120)


def limner(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with what is installed in that folder."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "limner", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with a distribution for every fault."""
    made, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    wheels = [wheel(made, name, source) for name, (source, _) in (FAULTS | SOUND).items()]
    wheels += [wheel(made, name, hook("limner_losses", "return {}"), entry) for name, entry in RIVALS.items()]
    pip_install(wheels, site)
    return site


@pytest.fixture(scope="module")
def listing(site) -> dict:
    """What `limner plugins --json` says about them."""
    done = limner(site, "plugins", "--timing", "--json")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    return listed | {"plugins": {plugin["name"]: plugin for plugin in listed["plugins"]}}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_plugin_is_reported_with_version_and_remedy(listing, name):
    plugin = listing["plugins"][name]
    assert (plugin["distribution"], plugin["version"]) == (f"limner-{name}", "1.2")
    assert re.search(FAULTS[name][1], plugin["problem"])
    assert "\n" not in plugin["problem"]
    assert "upgrade" in plugin["problem"]
    assert plugin["brings"] == {}


def test_all_others_work(listing):
    assert listing["plugins"]["one"]["brings"] == {"loss": ["alone"]}
    assert listing["plugins"]["earlier"]["problem"] is None
    assert listing["plugins"]["exact"]["problem"] is None
    assert "hinge" in listing["plugins"]["baseline"]["brings"]["loss"]


def test_a_component_of_two_plugins_names_both(site, listing):
    (clash,) = listing["clashes"]
    assert "two plugins bring the loss 'shared'" in clash
    assert "plugin 'one' (limner-one 1.2)" in clash
    assert "plugin 'two' (limner-two 1.2)" in clash


def test_an_entry_point_of_two_distributions_names_both(listing):
    problem = listing["plugins"]["rival"]["problem"]
    assert "two distributions call their plugin 'rival': limner-rival-a 1.2 and limner-rival-b 1.2" in problem
    assert "uninstall one of them" in problem


@pytest.mark.slow
def test_a_slow_plugin_is_reported(site, listing):
    seconds = [plugin["seconds"] for plugin in listing["plugins"].values()]
    assert seconds == sorted(seconds, reverse=True), "slowest first"
    assert listing["plugins"]["sleepy"]["seconds"] >= 0.4
    output = " ".join(limner(site, "plugins", "--timing").stdout.split())
    assert "slow: plugin 'sleepy' (limner-sleepy 1.2) takes 0.4 s" in output
    assert "slow: plugin 'one'" not in output


@pytest.mark.slow
def test_a_recipe_trains_beside_all_of_them(site, tmp_path):
    small = ["--set", "data.count=64", "--set", "training={steps=1, batch_size=8}", "--set", "image_size=16"]
    done = limner(site, "train", "scenes-one", *small, "--out", str(tmp_path / "run"), "--quiet")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "weights.safetensors").is_file()


def test_help_imports_no_plugin(tmp_path):
    sources = {"asleep": "import time; time.sleep(60)\n", "deadly": "import os; os._exit(7)\n"}
    pip_install([wheel(tmp_path, name, source) for name, source in sources.items()], tmp_path / "site")
    start = time.perf_counter()
    done = limner(tmp_path / "site", "--help")
    assert done.returncode == 0
    assert "Train text-to-image models" in done.stdout
    assert time.perf_counter() - start < 10, "it imports no plugin"
