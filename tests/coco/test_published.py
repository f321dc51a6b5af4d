"""Downloading a file: what is requested, what is kept, and what is refused."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from limner import LimnerError
from limner_coco import published
from limner_coco.published import fetch


def test_a_file_is_downloaded(server, tmp_path):
    content = server.files["/file"]
    fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert (tmp_path / "file.part").read_bytes() == content
    assert server.requests == [("/file", None)]
    fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert len(server.requests) == 1, "a complete file is not requested"


def test_only_the_rest_is_requested(server, tmp_path):
    content = server.files["/file"]
    (tmp_path / "file.part").write_bytes(content[:1000])
    fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert (tmp_path / "file.part").read_bytes() == content
    assert server.requests == [("/file", "bytes=1000-")]


def test_a_file_that_is_too_long_is_discarded(server, tmp_path):
    content = server.files["/file"]
    (tmp_path / "file.part").write_bytes(content + b"x")
    fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert (tmp_path / "file.part").read_bytes() == content
    assert server.requests == [("/file", None)]


def test_a_broken_connection_is_retried_while_data_arrives(server, tmp_path):
    content = server.files["/file"]
    server.breaks = [1000] * 9  # more often than ATTEMPTS
    fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert (tmp_path / "file.part").read_bytes() == content
    assert [wanted for _, wanted in server.requests] == [None, *(f"bytes={1000 * n}-" for n in range(1, 10))]


def test_without_data_it_gives_up_and_keeps_what_it_has(server, tmp_path):
    content = server.files["/file"]
    server.breaks = [1000] + [0] * 20
    with pytest.raises(LimnerError, match=r"closed\. 1000 of 10240 bytes are kept in .*run the command again"):
        fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert (tmp_path / "file.part").read_bytes() == content[:1000]
    assert len(server.requests) == 1 + published.ATTEMPTS


def test_a_server_without_ranges_starts_over(server, tmp_path):
    content = server.files["/file"]
    server.ranges, server.breaks = False, [2000]
    (tmp_path / "file.part").write_bytes(b"?" * 1000)
    fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert (tmp_path / "file.part").read_bytes() == content
    assert [wanted for _, wanted in server.requests] == ["bytes=1000-", "bytes=2000-"]


def test_it_gives_up_on_a_server_that_always_starts_over(server, tmp_path):
    server.ranges, server.breaks = False, [2000, 1500] * 50
    with pytest.raises(LimnerError, match="cannot be downloaded: the connection was closed"):
        fetch(f"{server.url}/file", tmp_path / "file.part", len(server.files["/file"]))
    assert len(server.requests) == 1 + published.ATTEMPTS


@pytest.mark.parametrize("have", [0, 1000])
@pytest.mark.parametrize("size", [9000, 12000])
def test_a_file_of_another_size_is_refused(server, tmp_path, have, size):
    (tmp_path / "file.part").write_bytes(server.files["/file"][:have])
    with pytest.raises(LimnerError, match=f"has 10240 bytes and the published archive {size}: it is another file"):
        fetch(f"{server.url}/file", tmp_path / "file.part", size)
    assert len(server.requests) == 1
    assert (tmp_path / "file.part").stat().st_size == have


def test_a_longer_file_is_refused_without_a_content_length(server, tmp_path):
    server.lengths = False
    with pytest.raises(LimnerError, match="has more than the 9000 bytes"):
        fetch(f"{server.url}/file", tmp_path / "file.part", 9000)


def test_a_part_with_a_wrong_start_is_refused(server, tmp_path):
    server.shift = 10
    (tmp_path / "file.part").write_bytes(server.files["/file"][:1000])
    with pytest.raises(LimnerError, match=r"does not resume at the requested byte; remove .*file\.part"):
        fetch(f"{server.url}/file", tmp_path / "file.part", 10240)
    assert (tmp_path / "file.part").stat().st_size == 1000


def test_a_missing_file_is_requested_once(server, tmp_path):
    with pytest.raises(LimnerError, match="/none cannot be downloaded: the server says 404 Not Found") as caught:
        fetch(f"{server.url}/none", tmp_path / "none.part", 10)
    assert "\n" not in str(caught.value)
    assert len(server.requests) == 1


def test_a_server_error_is_retried(server, tmp_path):
    server.status = [503, 500]
    fetch(f"{server.url}/file", tmp_path / "file.part", 10240)
    assert len(server.requests) == 3
    server.status = [503] * 20
    with pytest.raises(LimnerError, match="the server says 503 Service Unavailable"):
        fetch(f"{server.url}/file", tmp_path / "other.part", 10240)
    assert len(server.requests) == 3 + published.ATTEMPTS


def test_a_refused_connection_is_an_error(server, tmp_path):
    closed = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port = closed.server_address[1]
    closed.server_close()
    with pytest.raises(LimnerError, match=r"cannot be downloaded: .*refused"):
        fetch(f"http://127.0.0.1:{port}/file", tmp_path / "file.part", 10240)


@pytest.mark.parametrize("source", ["127.0.0.1/coco", "coco.example", "http://[::1", "ftq://coco"])
def test_a_wrong_address_is_refused(tmp_path, monkeypatch, source):
    monkeypatch.setattr(published, "PAUSE", 0)
    with pytest.raises(LimnerError, match="cannot be downloaded"):
        fetch(f"{source}/file", tmp_path / "file.part", 10)


def test_nothing_is_written_through_a_link(server, tmp_path):
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "file.part").symlink_to("victim")
    with pytest.raises(LimnerError, match=r"file\.part is a link or not a file, and is not written to; remove it"):
        fetch(f"{server.url}/file", tmp_path / "file.part", 10_240)
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert server.requests == []
