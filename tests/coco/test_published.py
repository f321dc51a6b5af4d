"""Fetching a file so that nothing is lost: what is asked for, what is kept, and what is refused."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from limner import LimnerError
from limner_coco import published
from limner_coco.published import fetch


def test_a_file_is_fetched_whole(server, tmp_path):
    content = server.files["/file"]
    fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert (tmp_path / "file.part").read_bytes() == content
    assert server.asked == [("/file", None)]
    fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert len(server.asked) == 1, "what is there in full is not asked for"


def test_only_the_rest_is_asked_for(server, tmp_path):
    content = server.files["/file"]
    (tmp_path / "file.part").write_bytes(content[:1000])
    fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert (tmp_path / "file.part").read_bytes() == content
    assert server.asked == [("/file", "bytes=1000-")]


def test_more_than_the_whole_is_thrown_away(server, tmp_path):
    content = server.files["/file"]
    (tmp_path / "file.part").write_bytes(content + b"x")
    fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert (tmp_path / "file.part").read_bytes() == content
    assert server.asked == [("/file", None)]


def test_a_connection_that_breaks_is_made_again_as_long_as_it_brings_something(server, tmp_path):
    content = server.files["/file"]
    server.breaks = [1000] * 9  # more often than ATTEMPTS
    fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert (tmp_path / "file.part").read_bytes() == content
    assert [wanted for _, wanted in server.asked] == [None, *(f"bytes={1000 * n}-" for n in range(1, 10))]


def test_a_connection_that_brings_nothing_is_given_up_and_what_came_is_kept(server, tmp_path):
    content = server.files["/file"]
    server.breaks = [1000] + [0] * 20
    with pytest.raises(
        LimnerError, match=r"closed\. What has come, 1000 of 10240 bytes, is kept in .*give the command"
    ):
        fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert (tmp_path / "file.part").read_bytes() == content[:1000]
    assert len(server.asked) == 1 + published.ATTEMPTS


def test_a_server_that_knows_no_parts_sends_all_of_it_again(server, tmp_path):
    content = server.files["/file"]
    server.ranges, server.breaks = False, [2000]
    (tmp_path / "file.part").write_bytes(b"?" * 1000)
    fetch(f"{server.url}/file", tmp_path / "file.part", len(content))
    assert (tmp_path / "file.part").read_bytes() == content
    assert [wanted for _, wanted in server.asked] == ["bytes=1000-", "bytes=2000-"]


@pytest.mark.parametrize("have", [0, 1000])
@pytest.mark.parametrize("size", [9000, 12000])
def test_a_file_of_another_size_is_refused(server, tmp_path, have, size):
    (tmp_path / "file.part").write_bytes(server.files["/file"][:have])
    with pytest.raises(LimnerError, match=f"has 10240 bytes and the published archive {size}: it is another file"):
        fetch(f"{server.url}/file", tmp_path / "file.part", size)
    assert len(server.asked) == 1
    assert (tmp_path / "file.part").stat().st_size == have


def test_a_file_of_another_size_is_refused_also_where_the_server_does_not_tell_it(server, tmp_path):
    server.lengths = False
    with pytest.raises(LimnerError, match="goes on behind the 9000 bytes"):
        fetch(f"{server.url}/file", tmp_path / "file.part", 9000)


def test_a_part_that_begins_elsewhere_is_refused(server, tmp_path):
    server.shift = 10
    (tmp_path / "file.part").write_bytes(server.files["/file"][:1000])
    with pytest.raises(LimnerError, match=r"does not go on where it was asked to; remove .*file\.part"):
        fetch(f"{server.url}/file", tmp_path / "file.part", 10240)
    assert (tmp_path / "file.part").stat().st_size == 1000


def test_what_is_not_there_is_asked_for_once(server, tmp_path):
    with pytest.raises(LimnerError, match="/none cannot be fetched: the server says 404 Not Found") as caught:
        fetch(f"{server.url}/none", tmp_path / "none.part", 10)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 1


def test_a_server_in_trouble_is_asked_again(server, tmp_path):
    server.status = [503, 500]
    fetch(f"{server.url}/file", tmp_path / "file.part", 10240)
    assert len(server.asked) == 3
    server.status = [503] * 20
    with pytest.raises(LimnerError, match="the server says 503 Service Unavailable"):
        fetch(f"{server.url}/file", tmp_path / "other.part", 10240)
    assert len(server.asked) == 3 + published.ATTEMPTS


def test_no_server_at_all(server, tmp_path):
    closed = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port = closed.server_address[1]
    closed.server_close()
    with pytest.raises(LimnerError, match=r"cannot be fetched: .*refused"):
        fetch(f"http://127.0.0.1:{port}/file", tmp_path / "file.part", 10240)


@pytest.mark.parametrize("source", ["127.0.0.1/coco", "coco.example", "http://[::1", "ftq://coco"])
def test_what_is_no_address_is_refused(tmp_path, monkeypatch, source):
    monkeypatch.setattr(published, "PAUSE", 0)
    with pytest.raises(LimnerError, match="cannot be fetched"):
        fetch(f"{source}/file", tmp_path / "file.part", 10)
