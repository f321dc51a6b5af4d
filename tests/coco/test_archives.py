"""MS-COCO's archives: downloaded, verified, unpacked and removed, and `limner data coco --download`."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from limner import LimnerError
from limner_coco import published
from limner_coco.published import Archive, obtain, unpack, verify
from PIL import Image

CAPTIONS = "annotations/captions_val2017.json"
NAMES = [f"val2017/{number:03d}.png" for number in range(4)]


def zipped(files: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of these files."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def picture(number: int) -> bytes:
    """A PNG file."""
    buffer = BytesIO()
    Image.new("RGB", (20, 24), (60 * number, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def described(place: str, content: bytes, holds: str) -> Archive:
    """The `Archive` with this content."""
    return Archive(place, len(content), hashlib.sha256(content).hexdigest(), holds)


@pytest.fixture
def coco(server, monkeypatch) -> dict[str, Archive]:
    """A published MS-COCO of four images in one split; both archives hold more than is unpacked."""
    images = [{"id": number, "file_name": name.removeprefix("val2017/")} for number, name in enumerate(NAMES)]
    captions = [{"id": number, "image_id": number, "caption": "a dark wall"} for number in range(len(NAMES))]
    table = json.dumps({"images": images, "annotations": captions}).encode()
    contents = {
        "annotations/all.zip": zipped({CAPTIONS: table, "annotations/boxes.json": b"{}"}, zipfile.ZIP_DEFLATED),
        "zips/val2017.zip": zipped({**{name: picture(n) for n, name in enumerate(NAMES)}, "readme.txt": b"hello"}),
    }
    server.files |= {f"/{place}": content for place, content in contents.items()}
    annotations, val2017 = (
        described(place, content, holds)
        for (place, content), holds in zip(contents.items(), ("annotations/captions_", "val2017/"))
    )
    monkeypatch.setattr(published, "ANNOTATIONS", annotations)
    monkeypatch.setattr(published, "SPLITS", {"val2017": val2017})
    return {"annotations": annotations, "val2017": val2017}


def there(folder: Path) -> list[str]:
    """The files at any depth of a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- an archive -----------------------------------------------------------------------------------------------------


def test_an_archive_is_downloaded_verified_and_unpacked(server, coco, tmp_path):
    server.files["/copy/zips/val2017.zip"] = server.files["/zips/val2017.zip"]
    obtain(coco["val2017"], tmp_path, server.url + "/copy/")
    assert there(tmp_path) == ["val2017.zip", *NAMES]
    assert (tmp_path / NAMES[2]).read_bytes() == picture(2)
    assert server.requests == [("/copy/zips/val2017.zip", None)]
    obtain(coco["val2017"], tmp_path, server.url)
    assert len(server.requests) == 1


def test_other_content_is_refused_with_both_checksums(server, coco, tmp_path):
    content = server.files["/zips/val2017.zip"]
    other = content[:-1] + b"?"
    server.files["/zips/val2017.zip"] = other
    with pytest.raises(LimnerError, match=r"val2017\.zip\.part is damaged, or not the published archive") as caught:
        obtain(coco["val2017"], tmp_path, server.url)
    assert hashlib.sha256(other).hexdigest() in str(caught.value)
    assert coco["val2017"].sha256 in str(caught.value)
    assert there(tmp_path) == ["val2017.zip.part"]
    (tmp_path / "val2017.zip.part").write_bytes(content)
    verify(tmp_path / "val2017.zip.part", coco["val2017"])


def test_an_existing_archive_of_another_size_is_refused(server, coco, tmp_path):
    (tmp_path / "val2017.zip").write_bytes(b"PK")
    with pytest.raises(LimnerError, match=r"val2017\.zip has 2 bytes, the published archive \d+; remove it"):
        obtain(coco["val2017"], tmp_path, server.url)
    assert server.requests == []


def test_a_full_disk_is_an_error(server, coco, tmp_path, monkeypatch):
    size = coco["val2017"].bytes
    (tmp_path / "val2017.zip.part").write_bytes(server.files["/zips/val2017.zip"][:100])
    free = 2 * size - 101  # one byte less than the rest of the archive and its files need
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    with pytest.raises(LimnerError, match=r"GB are needed in .*GB are free; free some space, or .* with --root"):
        obtain(coco["val2017"], tmp_path, server.url)
    assert server.requests == []
    free += 1
    obtain(coco["val2017"], tmp_path, server.url)
    assert server.requests == [("/zips/val2017.zip", "bytes=100-")]


def test_unpacking_skips_complete_files_and_repairs_others(tmp_path):
    files = {name: picture(number) for number, name in enumerate(NAMES)}
    (tmp_path / "a.zip").write_bytes(zipped({**files, "other/readme.txt": b"hello"}))
    (tmp_path / "val2017").mkdir()
    (tmp_path / NAMES[0]).write_bytes(files[NAMES[0]])
    (tmp_path / NAMES[1]).write_bytes(files[NAMES[1]][:20])
    (tmp_path / NAMES[2]).touch()
    before = (tmp_path / NAMES[0]).stat()
    unpack(tmp_path / "a.zip", tmp_path, "val2017/")
    assert there(tmp_path) == ["a.zip", *NAMES]
    assert all((tmp_path / name).read_bytes() == content for name, content in files.items())
    assert (tmp_path / NAMES[0]).stat().st_mtime_ns == before.st_mtime_ns
    assert (tmp_path / NAMES[0]).stat().st_ino == before.st_ino


def test_nothing_is_unpacked_through_a_link(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({name: picture(number) for number, name in enumerate(NAMES)}))
    (tmp_path / "val2017").mkdir()
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / NAMES[1]).symlink_to(tmp_path / "victim")
    with pytest.raises(LimnerError, match="is a link or not a file, and is not written to; remove it"):
        unpack(tmp_path / "a.zip", tmp_path, "val2017/")
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert not (tmp_path / NAMES[0]).exists(), "it is checked before anything is written"


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("where", ["content", "all", "end"])
def test_a_damaged_archive_leaves_no_damaged_file(tmp_path, compression, where):
    content = bytes(range(256)) * 4
    whole = zipped({"val2017/a": content, "val2017/b": content}, compression)
    damaged = {
        "content": whole[:50] + b"\xff" * 50 + whole[100:],
        "all": b"no archive",
        "end": whole[:-100],
    }
    (tmp_path / "a.zip").write_bytes(damaged[where])
    with pytest.raises(LimnerError, match=r"a\.zip is damaged: .*; remove it and try again\.") as caught:
        unpack(tmp_path / "a.zip", tmp_path, "val2017/")
    assert "\n" not in str(caught.value)
    (tmp_path / "a.zip").write_bytes(whole)
    unpack(tmp_path / "a.zip", tmp_path, "val2017/")
    assert there(tmp_path) == ["a.zip", "val2017/a", "val2017/b"]
    assert (tmp_path / "val2017/a").read_bytes() == content


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def download(command, server, coco, tmp_path):
    """Runs `limner data coco --download` on the folder `coco`."""

    def run(*more: str) -> tuple[int, str, str]:
        where = ("--root", tmp_path / "coco", "--split", "val2017", "--source", server.url)
        return command("data", "coco", *where, "--download", *more)

    return run


def test_the_command_downloads_only_what_is_missing(download, server, tmp_path):
    status, out, err = download()
    assert status == 0, err
    first, last = out.splitlines()
    assert first == "val2017: 4 images, 4 captions (1 per image, at most 3 words); nothing is missing."
    assert last.startswith("To train on it: limner train")
    assert there(tmp_path / "coco") == ["all.zip", CAPTIONS, "val2017.zip", *NAMES]
    assert server.requests == [("/annotations/all.zip", None), ("/zips/val2017.zip", None)]
    assert download()[:2] == (0, out)
    assert len(server.requests) == 2


def test_the_command_removes_archives_on_request(download, tmp_path):
    assert download("--remove-archives")[0] == 0
    assert there(tmp_path / "coco") == [CAPTIONS, *NAMES]


def test_kept_archives_can_be_removed_later(download, tmp_path):
    assert download()[0] == 0
    assert download("--remove-archives")[0] == 0
    assert there(tmp_path / "coco") == [CAPTIONS, *NAMES]


def test_the_command_repairs_broken_files(download, server, tmp_path):
    assert download("--remove-archives")[0] == 0
    (tmp_path / "coco" / CAPTIONS).write_text('{"images": [')
    assert download("--remove-archives")[0] == 0
    assert [path for path, _ in server.requests[2:]] == ["/annotations/all.zip"], "the images are complete"
    (tmp_path / "coco" / NAMES[1]).write_bytes(picture(1)[:30])
    assert download("--thorough")[0] == 0
    assert [path for path, _ in server.requests[3:]] == ["/zips/val2017.zip"]
    assert (tmp_path / "coco" / NAMES[1]).read_bytes() == picture(1)


def test_the_command_fails_with_one_sentence(download, server, tmp_path):
    del server.files["/annotations/all.zip"]
    status, out, err = download()
    assert (status, out) == (1, "")
    assert f"Error: {server.url}/annotations/all.zip cannot be downloaded: the server says 404" in err
    assert "Traceback" not in err
    shutil.rmtree(tmp_path / "coco")
    (tmp_path / "coco").write_text("a file")
    status, out, err = download()
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert "coco is a file" in err


def test_an_empty_caption_needs_no_download(download, command, server, tmp_path):
    assert download("--remove-archives")[0] == 0
    table = json.loads((tmp_path / "coco" / CAPTIONS).read_text())
    table["annotations"][0]["caption"] = " \n"
    (tmp_path / "coco" / CAPTIONS).write_text(json.dumps(table))
    status, out, _ = download("--remove-archives")
    assert status == 1
    assert "  1 captions are empty.\n" in out
    assert "To download" not in command("data", "coco", "--root", tmp_path / "coco", "--split", "val2017")[1]
    assert len(server.requests) == 2


def test_a_folder_that_cannot_be_written_is_an_error(download, monkeypatch, tmp_path):
    def refusing(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refusing)
    status, out, err = download()
    assert (status, out) == (1, "")
    assert err == f"Error: --root: nothing can be written in {tmp_path / 'coco'}: Permission denied.\n"
