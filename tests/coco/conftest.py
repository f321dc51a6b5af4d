"""MS-COCO's site made small, on the loopback address: two splits of tiny pictures, and all bad habits of servers."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import limner_coco.published
import numpy as np
import pytest
from limner_coco.published import Archive
from PIL import Image

COUNTS = {"train2017": 5, "val2017": 3}


@dataclass
class Site:
    """What the server has and how it behaves; `asked` are the requests that came, each with its Range or None."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    knows_ranges: bool = True
    breaks: list[int] = field(default_factory=list)  # the next connections break after so many bytes
    failures: list[int] = field(default_factory=list)  # the next requests are answered with these statuses
    change: Callable[[dict[str, str]], dict[str, str]] = lambda headers: headers

    def answer(self, place: str, wanted: str | None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        self.asked.append((place, wanted))
        if self.failures:
            return self.failures.pop(0), {}, b""
        if place not in self.files:
            return 404, {}, b""
        whole, start = self.files[place], 0
        if wanted and self.knows_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        headers = {"Content-Length": str(len(whole) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        body = whole[start:][: self.breaks.pop(0) if self.breaks else None]
        return 206 if start else 200, self.change(headers), body


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server on the loopback address, that has nothing yet; nobody waits between two tries."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(limner_coco.published, "PAUSE", 0.0)
    monkeypatch.setattr(limner_coco.published, "PIECE", 1000)
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = site.answer(self.path, self.headers.get("Range"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield site
        server.shutdown()
        thread.join()


def picture(number: int) -> bytes:
    """A picture as a JPEG file of a few thousand bytes; no two are alike."""
    noise = np.random.default_rng(number).integers(0, 255, (40, 48, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", quality=90)
    return file.getvalue()


def archive_of(place: str, files: dict[str, bytes], holds: str, compression: int = zipfile.ZIP_STORED):
    """An archive as MS-COCO's, and what is published about it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.mkdir(f"{holds.split('/')[0]}/")
        for name, content in files.items():
            archive.writestr(name, content)
    content = buffer.getvalue()
    return content, Archive(place, len(content), hashlib.sha256(content).hexdigest(), holds)


@pytest.fixture
def published(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site with the archives of two small splits, which `limner_coco.published` then takes for MS-COCO's."""
    captions, splits = {}, {}
    for split, count in COUNTS.items():
        table = {
            "images": [{"id": i, "file_name": f"{i:012}.jpg"} for i in range(count)],
            "annotations": [
                {"id": 5 * i + k, "image_id": i, "caption": f"Noise number {i}, {'very ' * k}loud."}
                for i in range(count)
                for k in range(5 if i else 6)
            ],
        }
        captions[f"annotations/captions_{split}.json"] = json.dumps(table).encode()
        captions[f"annotations/instances_{split}.json"] = b"{}"
        images = {f"{split}/{i:012}.jpg": picture(i + len(split)) for i in range(count)}
        site.files[f"/zips/{split}.zip"], splits[split] = archive_of(f"zips/{split}.zip", images, f"{split}/")
    place = "annotations/annotations_trainval2017.zip"
    site.files[f"/{place}"], annotations = archive_of(place, captions, "annotations/captions_", zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(limner_coco.published, "SPLITS", splits)
    monkeypatch.setattr(limner_coco.published, "ANNOTATIONS", annotations)
    return site


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with 100 free bytes."""
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(limner_coco.published.shutil, "disk_usage", lambda path: usage)


def tree(root: Path) -> set[str]:
    """The files below a folder."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
