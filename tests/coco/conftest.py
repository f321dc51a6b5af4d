"""A small server on this machine that can be made to do all that servers do."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from limner_coco import published


class Server:
    """What is served, how well, and what was asked for: `asked` has the path and the Range header of each request."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.ranges = True  # whether only a part can be asked for
        self.breaks: list[int] = []  # after how many bytes the next connections break
        self.status: list[int] = []  # what the next answers say in place of 200
        self.shift = 0  # how far a part begins from where it was asked for
        self.lengths = True  # whether the size is told
        self.url = ""

    def start(self) -> ThreadingHTTPServer:
        """The running server, on a free port of the loopback address."""
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
        """Serve one request."""
        wanted = request.headers.get("Range")
        self.asked.append((request.path, wanted))
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
    """A server with one file, `/file`; nothing waits between two tries."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(published, "PAUSE", 0)
    server = Server()
    server.files["/file"] = bytes(range(256)) * 40
    running = server.start()
    yield server
    running.shutdown()
    running.server_close()
