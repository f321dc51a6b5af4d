"""Fetching MS-COCO's archives, from a server on the loopback address: nothing is lost, nothing false is taken."""

import dataclasses
import socket
import zipfile
from pathlib import Path

import limner_coco.published as published_coco
import pytest
from limner import LimnerError
from limner_coco.published import fetch, obtain, unpack, verify

PLACE = "/zips/val2017.zip"


@pytest.fixture
def val(published):
    """What is published of the small val2017."""
    return published_coco.SPLITS["val2017"]


@pytest.fixture
def content(published) -> bytes:
    """The archive itself."""
    return published.files[PLACE]


def images(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((root / "val2017").iterdir())]


def expected(content: bytes, tmp_path: Path) -> list[bytes]:
    (tmp_path / "whole.zip").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "whole.zip") as archive:
        return [archive.read(name) for name in sorted(archive.namelist()) if not name.endswith("/")]


# --- fetching -------------------------------------------------------------------------------------------------------


def test_an_archive_is_fetched_made_sure_of_and_unpacked(published, val, content, tmp_path, capsys):
    root = tmp_path / "new" / "coco"
    obtain(val, root, published.url)
    assert published.asked == [(PLACE, None)]
    assert (root / "val2017.zip").read_bytes() == content
    assert images(root) == expected(content, tmp_path)
    assert not (root / "val2017.zip.part").exists()
    told = capsys.readouterr().err
    assert all(word in told for word in ("val2017.zip: 100%", "verifying: 100%", "unpacking val2017.zip: 100%"))
    obtain(val, root, published.url)
    assert len(published.asked) == 1, "what is there is not asked for again"


@pytest.mark.parametrize("have", [1, 1000, 3333])
def test_of_what_is_there_only_the_rest_is_asked_for(published, val, content, tmp_path, have):
    (tmp_path / "val2017.zip.part").write_bytes(content[:have])
    obtain(val, tmp_path, published.url)
    assert published.asked == [(PLACE, f"bytes={have}-")]
    assert (tmp_path / "val2017.zip").read_bytes() == content


def test_a_whole_part_is_not_asked_for_and_one_that_is_too_long_is_fetched_anew(published, val, content, tmp_path):
    part = tmp_path / "val2017.zip.part"
    part.write_bytes(content)
    obtain(val, tmp_path, published.url)
    assert published.asked == []
    (tmp_path / "val2017.zip").unlink()
    part.write_bytes(content + b"more")
    obtain(val, tmp_path, published.url)
    assert published.asked == [(PLACE, None)]


def test_a_connection_that_breaks_is_made_again_as_long_as_it_brings_something(published, val, content, tmp_path):
    published.breaks = [700, 1, 2500, 300, 40, 5, 600]
    obtain(val, tmp_path, published.url)
    begun = [sum([700, 1, 2500, 300, 40, 5, 600][:number]) for number in range(1, 8)]
    assert published.asked == [(PLACE, None), *((PLACE, f"bytes={have}-") for have in begun)]
    assert (tmp_path / "val2017.zip").read_bytes() == content


def test_a_few_times_it_may_bring_nothing(published, val, content, tmp_path):
    published.failures, published.breaks = [503, 500], [0, 900, 0, 0, 0, 0]
    obtain(val, tmp_path, published.url)
    assert (tmp_path / "val2017.zip").read_bytes() == content
    assert len(published.asked) == 9


def test_a_server_that_brings_nothing_is_given_up_and_what_has_come_is_kept(published, val, content, tmp_path):
    published.breaks = [900] + [0] * 100
    said = rf"zips/val2017.zip cannot be fetched: the connection was closed. What has come, 900 of {len(content)} bytes"
    with pytest.raises(LimnerError, match=said) as caught:
        obtain(val, tmp_path, published.url)
    assert len(published.asked) == 1 + published_coco.ATTEMPTS
    assert "\n" not in str(caught.value)
    published.breaks = []
    obtain(val, tmp_path, published.url)
    assert published.asked[-1] == (PLACE, "bytes=900-")


def test_a_server_that_knows_no_ranges_sends_the_whole_file_anew(published, val, content, tmp_path):
    published.knows_ranges = False
    (tmp_path / "val2017.zip.part").write_bytes(b"x" * 1234)
    published.breaks = [2000, 2500]
    obtain(val, tmp_path, published.url)
    assert [wanted for _, wanted in published.asked] == ["bytes=1234-", "bytes=2000-", "bytes=2500-"]
    assert (tmp_path / "val2017.zip").read_bytes() == content


def test_a_server_that_always_sends_the_beginning_only_is_given_up(published, val, tmp_path):
    published.knows_ranges, published.breaks = False, [2000, 1500] * 100
    with pytest.raises(LimnerError, match="cannot be fetched: the connection was closed"):
        obtain(val, tmp_path, published.url)
    assert len(published.asked) <= 3 * published_coco.ATTEMPTS


@pytest.mark.parametrize("status", [404, 403, 410])
def test_what_the_server_does_not_have_is_told_and_not_asked_for_again(published, val, tmp_path, status):
    published.failures = [status] * 10
    with pytest.raises(LimnerError, match=rf"cannot be fetched: the server says {status} \w+"):
        obtain(val, tmp_path, published.url)
    assert len(published.asked) == 1


def test_without_a_server_it_is_told_what_is_wrong(val, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = rf"http://127.0.0.1:{port}/zips/val2017.zip cannot be fetched: .*refused.*0 of \d+ bytes"
    with pytest.raises(LimnerError, match=said) as caught:
        obtain(val, tmp_path, f"http://127.0.0.1:{port}")
    assert "\n" not in str(caught.value)


def test_what_is_no_address_is_told_at_once(published, val, tmp_path):
    for source in ("images.cocodataset.org", ""):
        with pytest.raises(LimnerError, match=r"is no address: .*; one begins with http"):
            obtain(val, tmp_path, source)
    obtain(val, tmp_path, f"{published.url}/")
    assert published.asked == [(PLACE, None)]


# --- another file than the published one ----------------------------------------------------------------------------


def test_a_file_of_another_size_is_refused_before_it_comes(published, val, content, tmp_path):
    for other in (content[:-10], content + b"more"):
        published.files[PLACE] = other
        said = f"has {len(other)} bytes and the published archive {len(content)}: it is another file"
        with pytest.raises(LimnerError, match=said):
            obtain(val, tmp_path, published.url)
        assert (tmp_path / "val2017.zip.part").stat().st_size == 0
    (tmp_path / "val2017.zip.part").write_bytes(content[:1000])
    with pytest.raises(LimnerError, match="it is another file"):
        obtain(val, tmp_path, published.url)


def test_a_file_that_does_not_end_is_left(published, val, content, tmp_path):
    published.files[PLACE] = content + bytes(100_000)
    published.change = lambda headers: {}  # it does not say how much comes
    with pytest.raises(LimnerError, match=f"goes on behind the {len(content)} bytes of the published archive"):
        obtain(val, tmp_path, published.url)
    published.files[PLACE] = content
    obtain(val, tmp_path, published.url)


def test_a_server_that_goes_on_somewhere_else_is_refused(published, val, content, tmp_path):
    (tmp_path / "val2017.zip.part").write_bytes(content[:1000])
    published.change = lambda headers: headers | {"Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}"}
    with pytest.raises(LimnerError, match="does not go on where it was asked to"):
        obtain(val, tmp_path, published.url)
    assert (tmp_path / "val2017.zip.part").read_bytes() == content[:1000]


def test_a_file_with_another_checksum_is_not_unpacked(published, val, content, tmp_path):
    published.files[PLACE] = content[:100] + bytes([content[100] ^ 1]) + content[101:]
    with pytest.raises(
        LimnerError, match=rf"its SHA-256 is [0-9a-f]{{64}}, expected {val.sha256}; remove it"
    ) as caught:
        obtain(val, tmp_path, published.url)
    assert "val2017.zip.part is damaged" in str(caught.value)
    assert not (tmp_path / "val2017").exists()
    assert not (tmp_path / "val2017.zip").exists()


def test_an_archive_that_lies_there_with_another_size_is_refused(published, val, content, tmp_path):
    (tmp_path / "val2017.zip").write_bytes(content[:-1])
    with pytest.raises(
        LimnerError, match=f"has {len(content) - 1} bytes, the published archive {len(content)}; remove"
    ):
        obtain(val, tmp_path, published.url)
    assert published.asked == []


def test_a_checksum_is_of_the_whole_file(val, content, tmp_path):
    (tmp_path / "a.zip").write_bytes(content)
    verify(tmp_path / "a.zip", val)
    with pytest.raises(LimnerError, match="not the published archive"):
        verify(tmp_path / "a.zip", dataclasses.replace(val, sha256="0" * 64))


# --- the disk -------------------------------------------------------------------------------------------------------


def test_where_there_is_no_room_nothing_is_fetched(published, val, tmp_path, full_disk):
    with pytest.raises(LimnerError, match=r"0.0 GB are needed in .*, and 0.0 GB are free; make room, or .*--root"):
        obtain(val, tmp_path, published.url)
    assert published.asked == []


def test_where_there_is_no_room_nothing_is_unpacked(val, content, tmp_path, full_disk):
    (tmp_path / "val2017.zip").write_bytes(content)
    with pytest.raises(LimnerError, match="GB are needed"):
        obtain(val, tmp_path)
    assert not (tmp_path / "val2017").exists()


def test_where_nothing_can_be_written_it_is_told(published, val, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LimnerError, match=r"Nothing can be written in .*file: .*exists") as caught:
        obtain(val, tmp_path / "file", published.url)
    assert "\n" not in str(caught.value)


# --- unpacking ------------------------------------------------------------------------------------------------------


def test_what_is_there_in_full_is_passed_over(val, content, tmp_path):
    (tmp_path / "val2017.zip").write_bytes(content)
    obtain(val, tmp_path)
    first, second, third = sorted((tmp_path / "val2017").iterdir())
    before = images(tmp_path)
    first.write_bytes(b"x" * first.stat().st_size)  # of the right size: it is left alone
    second.write_bytes(second.read_bytes()[:50])
    third.unlink()
    obtain(val, tmp_path)
    assert images(tmp_path)[1:] == before[1:]
    assert set(first.read_bytes()) == set(b"x")


def test_only_captions_are_unpacked_of_the_annotations(published, tmp_path):
    obtain(published_coco.ANNOTATIONS, tmp_path, published.url)
    names = sorted(path.name for path in (tmp_path / "annotations").iterdir())
    assert names == ["captions_train2017.json", "captions_val2017.json"]


DAMAGED = {
    "no archive": lambda whole: b"x" * len(whole),
    "a byte": lambda whole: whole[:200] + bytes([whole[200] ^ 255]) + whole[201:],
    "a piece": lambda whole: whole[:120] + bytes(200) + whole[320:],
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("place", [PLACE, "/annotations/annotations_trainval2017.zip"])
def test_of_a_damaged_archive_nothing_half_stays(published, tmp_path, place, damage):
    path = tmp_path / "damaged.zip"
    path.write_bytes(damage(published.files[place]))
    holds = "val2017/" if place == PLACE else "annotations/"
    with pytest.raises(LimnerError, match=r"damaged.zip is damaged: .*; remove it and try again\.") as caught:
        unpack(path, tmp_path, holds)
    assert "\n" not in str(caught.value)
    path.write_bytes(published.files[place])
    unpack(path, tmp_path, holds)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith(holds) and not name.endswith("/"):
                assert (tmp_path / name).read_bytes() == archive.read(name), "what was damaged is replaced"


def test_stopped_while_unpacking_it_goes_on(val, content, tmp_path, monkeypatch):
    (tmp_path / "val2017.zip").write_bytes(content)
    write = zipfile.ZipFile.extract

    def stopping(self, entry, root):
        write(self, entry, root)
        if "000001" in entry.filename:
            raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "extract", stopping)
    with pytest.raises(KeyboardInterrupt):
        obtain(val, tmp_path)
    assert len(images(tmp_path)) == 1, "the one in hand does not stay"
    monkeypatch.undo()
    obtain(val, tmp_path)
    assert images(tmp_path) == expected(content, tmp_path)


def test_a_real_archive_of_coco_is_known_by_name():
    assert published_coco.ANNOTATIONS.name == "annotations_trainval2017.zip"
    assert [archive.name for archive in published_coco.SPLITS.values()] == ["train2017.zip", "val2017.zip"]
    assert all(len(archive.sha256) == 64 for archive in (*published_coco.SPLITS.values(), published_coco.ANNOTATIONS))


def test_a_file_is_fetched_with_a_bar_of_its_bytes(published, content, tmp_path, capsys):
    fetch(f"{published.url}{PLACE}", tmp_path / "val2017.zip.part", len(content))
    told = capsys.readouterr().err
    assert "val2017.zip: 100%" in told
    assert "B/s" in told
