"""What the page "Paint in your browser" needs: ONNX Runtime Web from npm, and the models that come along as ONNX.

Neither is kept in the repository. Without npm or the extra `export`, the page says that painting is not part of this
build.
"""

import logging
import re
import shutil
import subprocess
import tarfile
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import limner
from limner import LimnerError
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PACKAGE = "onnxruntime-web@1.30.0"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
MODELS = {"quickstart": "32 pixels, eight wordings", "scenes-128": "128 pixels, in three stages"}
LEFT_OUT = "Painting is not part of this build of the site: {reason}"

log = logging.getLogger("mkdocs.hooks.paint")
built: dict[str, str] = {}
"""What the page is filled with; `reason` if painting is left out."""


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add ONNX Runtime and the exported models to the site."""
    built.clear()
    try:
        runtime, models = fetch_runtime(), export_models()
    except LimnerError as error:
        built["reason"] = str(error)
        log.info(LEFT_OUT.format(reason=error))
        return
    for folder, contents in (("ort", runtime), ("models", models)):
        for name, content in contents.items():
            files.append(File.generated(config, f"paint/{folder}/{name}", content=content))
    built["runtime"] = f"{sum(map(len, runtime.values())) / 1e6:.0f}"
    sizes = [f"{len(models[f'{name}.onnx']) / 1e6:.1f}" for name in MODELS]
    built["models"] = " or ".join(dict.fromkeys(sizes))
    built["options"] = "".join(f'<option value="{name}">{name}: {about}</option>' for name, about in MODELS.items())


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str | None:
    """Fill in the page, or say on it that painting is left out."""
    if page.file.src_uri != "paint.md":
        return None
    if "reason" not in built:
        return re.sub(r"\{(\w+)\}", lambda name: built[name[1]], markdown)
    title, rest = markdown.split("\n", 1)
    return f"{title}\n\n{LEFT_OUT.format(**built)}\n\n{rest[rest.index('## ') :]}"


def fetch_runtime() -> dict[str, bytes]:
    """The files of ONNX Runtime Web, from npm's cache or its registry.

    Raises:
        LimnerError: if npm is not there, or does not have them.
        PluginError: if they are not those that this page was written for.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise LimnerError("npm is not installed.")
    with TemporaryDirectory() as folder:
        command = [npm, "pack", PACKAGE, "--prefer-offline", "--silent"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.SubprocessError):
            raise LimnerError(f"npm could not fetch {PACKAGE}.") from None
        (archive,) = Path(folder).glob("*.tgz")
        if sha256(archive.read_bytes()).hexdigest() != SHA256:
            raise PluginError(f"npm fetched another {PACKAGE} than expected; check it, and then its SHA256 here.")
        with tarfile.open(archive) as opened:
            members = {name: opened.extractfile(f"package/dist/{name}") for name in RUNTIME}
            return {name: member.read() for name, member in members.items() if member}


def export_models() -> dict[str, bytes]:
    """The three files of each exported model."""
    with TemporaryDirectory() as folder:
        for name in MODELS:
            limner.load(name).export(Path(folder, f"{name}.onnx"))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
