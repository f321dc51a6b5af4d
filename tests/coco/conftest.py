"""Small folders of captions and images, and a small local server that can imitate the failures of real ones."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from limner_coco import published
from limner_coco.folder import CaptionedFolder
from PIL import Image


class Server:
    """What it serves and how it fails; `requests` has the path and the Range header of each request."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.ranges = True  # whether a range can be requested
        self.breaks: list[int] = []  # the number of bytes after which each of the next connections breaks
        self.status: list[int] = []  # the status of the next answers, instead of 200
        self.shift = 0  # the offset of a range from the requested start
        self.lengths = True  # whether the size is sent
        self.url = ""

    def start(self) -> ThreadingHTTPServer:
        """Starts the server on a free port of the loopback address."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answers one request."""
        wanted = request.headers.get("Range")
        self.requests.append((request.path, wanted))
        content = self.files.get(request.path)
        if self.status or content is None:
            request.send_error(self.status.pop(0) if self.status else 404)
            return
        begin = 0
        if wanted and self.ranges:
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) + self.shift
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        if self.lengths:
            request.send_header("Content-Length", str(len(content) - begin))
        request.end_headers()
        end = begin + self.breaks.pop(0) if self.breaks else len(content)
        request.wfile.write(content[begin:end])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with one file, `/file`; there is no pause between two attempts."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(published, "PAUSE", 0)
    server = Server()
    server.files["/file"] = bytes(range(256)) * 40
    running = server.start()
    yield server
    running.shutdown()
    running.server_close()


@pytest.fixture
def make(tmp_path) -> Callable[..., Path]:
    """Makes a folder with a text file of captions, and images at these places."""

    def made(name: str, text: str, *images: str) -> Path:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        for image in images:
            (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20)).save(tmp_path / image)
        return tmp_path

    return made


@pytest.fixture
def captions_of() -> Callable[..., list[list[str]]]:
    """The captions of each image that a data set of a folder has."""

    def captions(folder: Path, **options) -> list[list[str]]:
        data = CaptionedFolder(16, root=str(folder), **options).load()
        return [[a["caption"] for a in of_image] for of_image in data.annotations]

    return captions
