"""The store of prepared images: no image is decoded twice, interrupted work resumes, memory use stays constant."""

import json
import os
import subprocess
import sys
import time

import limner_coco.finding
import limner_coco.store
import numpy as np
import pytest
import torch
from limner import LimnerError
from limner_coco.finding import find
from limner_coco.store import PixelStore, store_folder
from PIL import Image


@pytest.fixture
def made(monkeypatch):
    """The names of the decoded files, in order."""
    names, decode = [], limner_coco.store.decode_images

    def counting(paths, size):
        names.extend(path.name for path in paths)
        return decode(paths, size)

    monkeypatch.setattr(limner_coco.store, "decode_images", counting)
    return names


@pytest.fixture
def many(tmp_path):
    """Makes a folder of tiny images, image i in gray level i; the files in `broken` are not images."""

    def make(count, broken=()):
        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        for i in range(count):
            path = folder / f"{i:04d}.png"
            if i in broken:
                path.write_text("no image")
            else:
                Image.new("L", (8, 8), i % 251).save(path)
        return folder

    return make


def prepare(folder, names=None, size=8, at=None):
    names = sorted(path.name for path in folder.iterdir()) if names is None else names
    return PixelStore(at or folder.parent / "store", "all", size).prepare(find(folder, names))


def grays(prepared):
    assert (prepared.pixels == prepared.pixels[:, :1, :1, :1]).all()
    return prepared.pixels[:, 0, 0, 0].tolist()


def test_no_image_is_decoded_twice(many, made):
    folder = many(5, broken=[2])
    first = prepare(folder)
    assert len(made) == 5
    again = prepare(folder)
    assert len(made) == 5
    assert grays(first) == grays(again) == [0, 1, 3, 4]
    assert [problem is None for problem in again.problems] == [True, True, False, True, True]
    assert first.problems == again.problems
    assert "cannot identify" in str(again.problems[2])


def test_changes_to_the_pixels_stay_in_memory(many):
    folder = many(3)
    pixels = prepare(folder).pixels
    assert pixels.dtype == torch.uint8
    pixels.fill_(77)
    assert grays(prepare(folder)) == [0, 1, 2]


def test_new_files_at_the_end_are_added(many, made):
    folder = many(4)
    names = sorted(path.name for path in folder.iterdir())
    assert grays(prepare(folder, names[:2])) == [0, 1]
    assert grays(prepare(folder, names)) == [0, 1, 2, 3]
    assert grays(prepare(folder, names[:3])) == [0, 1, 2]
    assert grays(prepare(folder, names)) == [0, 1, 2, 3]
    assert sorted(made) == names, "each is decoded once"


CHANGES = {
    "another image": (lambda path: Image.new("L", (8, 8), 99).save(path), [0, 1, 99, 3]),
    "a new time": (lambda path: os.utime(path, ns=(5, 5)), [0, 1, 2, 3]),
    "a missing one": (lambda path: path.unlink(), [0, 1, 3]),
    "a broken one": (lambda path: path.write_text("no image"), [0, 1, 3]),
}


@pytest.mark.parametrize(("change", "seen"), CHANGES.values(), ids=CHANGES)
def test_from_a_changed_file_on_all_is_made_again(many, made, change, seen):
    folder = many(4)
    old = prepare(folder).pixels
    names = sorted(path.name for path in folder.iterdir())
    made.clear()
    change(folder / "0002.png")
    assert grays(prepare(folder, names)) == seen
    assert sorted(made) == ["0002.png", "0003.png"], "earlier ones are kept"
    assert old[:, 0, 0, 0].tolist() == [0, 1, 2, 3], "a process that has the old file mapped keeps it"
    assert grays(prepare(folder, names)) == seen
    assert len(made) == 2


def test_a_repaired_file_is_used(many):
    folder = many(4, broken=[1])
    assert grays(prepare(folder)) == [0, 2, 3]
    Image.new("L", (8, 8), 50).save(folder / "0001.png")
    assert grays(prepare(folder)) == [0, 50, 2, 3]


def test_another_size_or_version_is_another_store(many, made, monkeypatch):
    folder = many(3)
    prepare(folder)
    assert prepare(folder, size=4).pixels.shape == (3, 3, 4, 4)
    assert len(made) == 6
    monkeypatch.setattr(limner_coco.store, "DECODER_VERSION", 999)
    prepare(folder)
    assert len(made) == 9


CHUNK = 16


@pytest.fixture
def small_chunks(monkeypatch):
    """Makes the chunks small, so that tests are fast."""
    monkeypatch.setattr(limner_coco.store, "CHUNK", CHUNK)


@pytest.mark.parametrize("stop_at", [0, 1, CHUNK - 1, CHUNK, 2 * CHUNK + 7])
def test_interrupted_work_resumes(many, monkeypatch, small_chunks, stop_at):
    folder = many(2 * CHUNK + 20, broken=[3, CHUNK + 1])
    names, decode = [], limner_coco.store.decode_images

    def stopping(paths, size):
        if any(int(path.stem) == stop_at for path in paths):
            raise KeyboardInterrupt
        return decode(paths, size)

    monkeypatch.setattr(limner_coco.store, "decode_images", stopping)
    with pytest.raises(KeyboardInterrupt):
        prepare(folder)
    monkeypatch.setattr(
        limner_coco.store, "decode_images", lambda paths, size: names.extend(paths) or decode(paths, size)
    )
    resumed = prepare(folder)
    assert min(int(path.stem) for path in names) == stop_at // CHUNK * CHUNK
    at_once = prepare(folder, at=folder.parent / "other")
    assert torch.equal(resumed.pixels, at_once.pixels)
    assert resumed.problems == at_once.problems
    stores = [sorted((folder.parent / name).glob("*.pixels"))[0].read_bytes() for name in ("store", "other")]
    assert stores[0] == stores[1]


def cut(path, count):
    path.write_bytes(path.read_bytes()[:-count])


TORN = {
    "a torn line in the index": lambda pixels, index: cut(index, 5),
    "garbage at the end of the index": lambda pixels, index: index.write_bytes(index.read_bytes() + b'["x", 1'),
    "more pixels than the index lists": lambda pixels, index: pixels.write_bytes(pixels.read_bytes() + b"x" * 300),
    "torn pixels": lambda pixels, index: cut(pixels, 100),
    "no pixels": lambda pixels, index: pixels.write_bytes(b""),
    "missing pixels": lambda pixels, index: pixels.unlink(),
    "missing index": lambda pixels, index: index.unlink(),
    "empty index": lambda pixels, index: index.write_bytes(b""),
    "binary index": lambda pixels, index: index.write_bytes(bytes(range(256))),
    "header of another size": lambda pixels, index: index.write_text(index.read_text().replace('"size":8', '"size":9')),
}


@pytest.mark.parametrize("tear", TORN.values(), ids=TORN)
def test_damaged_files_of_the_store_are_repaired(many, tear):
    folder = many(6, broken=[0, 4])
    prepare(folder)
    tear(*(sorted((folder.parent / "store").glob(f"*.{ending}"))[0] for ending in ("pixels", "index")))
    for _ in range(2):
        assert grays(prepare(folder)) == [1, 2, 3, 5]


@pytest.mark.slow
def test_a_killed_process_loses_at_most_a_chunk(many):
    """A real process, killed while it works."""
    folder = many(4 * CHUNK)
    code = """
import sys, time
from pathlib import Path
import limner_coco.store as store
store.CHUNK = 16
from limner_coco.finding import find
decode = store.decode_images
def slow(paths, size):
    time.sleep(0.5)
    return decode(paths, size)
store.decode_images = slow
folder = Path(sys.argv[1])
store.PixelStore(folder.parent / "store", "all", 8).prepare(find(folder, sorted(p.name for p in folder.iterdir())))
"""
    worker = subprocess.Popen([sys.executable, "-c", code, str(folder)], stderr=subprocess.DEVNULL)
    index = folder.parent / "store" / "all-8px.index"
    try:
        deadline = time.monotonic() + 60
        while not (index.is_file() and index.stat().st_size > 1000) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        worker.kill()
        worker.wait()
    done = len(index.read_bytes().splitlines()) - 1
    assert 0 < done < 4 * CHUNK
    assert done % CHUNK == 0
    assert grays(prepare(folder)) == [i % 251 for i in range(4 * CHUNK)]


@pytest.mark.slow
def test_two_processes_at_once_make_one_store(many):
    folder = many(2 * CHUNK)
    code = """
import sys
from pathlib import Path
import limner_coco.store as store
from limner_coco.finding import find
store.CHUNK = 16
folder = Path(sys.argv[1])
found = find(folder, sorted(p.name for p in folder.iterdir()))
print(int(store.PixelStore(folder.parent / "store", "all", 8).prepare(found).pixels[:, 0, 0, 0].sum()))
"""
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    sums = [int(worker.communicate(timeout=120)[0]) for worker in workers]
    assert sums == [sum(i % 251 for i in range(2 * CHUNK))] * 2
    assert len((folder.parent / "store" / "all-8px.index").read_bytes().splitlines()) == 2 * CHUNK + 1


def test_names_in_any_script_are_found(many, made):
    folder = many(0)
    names = ["собака.png", "ein Bär.png", "犬 猫.png", "emoji 🐕.png", "per cent %20.png"]
    for i, name in enumerate(names):
        Image.new("L", (8, 8), i + 1).save(folder / name)
    assert grays(prepare(folder, names)) == grays(prepare(folder, names)) == [1, 2, 3, 4, 5]
    assert len(made) == 5


@pytest.mark.parametrize(
    ("listed", "there"),
    [
        ("B\u00e4r.png", "Ba\u0308r.png"),
        ("Ba\u0308r.png", "B\u00e4r.png"),
        ("dog.JPG", "dog.jpg"),
        ("deep\\dog.png", "deep/dog.png"),
    ],
)
def test_a_name_spelled_differently_on_disk_is_found(tmp_path, listed, there):
    (tmp_path / there).parent.mkdir(exist_ok=True)
    Image.new("L", (8, 8)).save(tmp_path / there, format="PNG")
    assert find(tmp_path, [listed])[0].bytes > 0


def test_an_ambiguous_name_is_not_guessed(tmp_path):
    for name in ("dog.png", "DOG.png"):
        (tmp_path / name).write_bytes(b"x")
    if len(list(tmp_path.iterdir())) == 2:  # on a case-sensitive disk
        assert find(tmp_path, ["Dog.png"])[0].bytes == -1
    assert find(tmp_path, ["DOG.png"])[0].bytes == 1


def test_a_full_disk_is_an_error_before_any_work(many, made, monkeypatch):
    folder = many(3)
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(limner_coco.store.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(LimnerError, match=r"need 0 MB in .*store, where 0 MB are free; .*data\.cache.*data\.limit"):
        prepare(folder)
    assert made == []


def test_a_store_that_cannot_be_written_is_an_error(many):
    folder = many(1)
    (folder.parent / "file").write_text("")
    with pytest.raises(LimnerError, match=r"cannot be stored in .*file.*another folder with data\.cache"):
        prepare(folder, at=folder.parent / "file" / "store")


@pytest.mark.parametrize("ending", ["pixels", "pixels.new", "index", "index.new", "lock"])
@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_no_link_in_the_store_is_followed(many, ending, link):
    """A data folder from elsewhere may bring a store whose files point to files of this machine."""
    folder = many(2)
    victim, store = folder.parent / "victim", folder.parent / "store"
    victim.write_bytes(b"precious" * 100)
    store.mkdir()
    if ending in ("pixels", "index"):
        prepare(folder)
        (store / f"all-8px.{ending}").unlink()
        many(3)
    path = store / f"all-8px.{ending}"
    if link == "symbolic":
        path.symlink_to(victim)
    else:
        path.hardlink_to(victim)
    if link == "hard" and ending.endswith(".new"):
        assert len(prepare(folder).pixels) == 2, "such a name is made anew"
    else:
        with pytest.raises(LimnerError, match=rf"all-8px\.{ending} is a link or not a file, .*; remove it"):
            prepare(folder)
    assert victim.read_bytes() == b"precious" * 100


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("ending", ["pixels", "index", "lock"])
def test_a_pipe_in_the_store_is_refused_at_once(many, ending):
    folder = many(2)
    prepare(folder)
    path = folder.parent / "store" / f"all-8px.{ending}"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(LimnerError, match="is a link or not a file"):
        prepare(folder)


def test_a_linked_folder_of_stores_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / ".limner").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LimnerError, match=r"\.limner is a link, and no link is followed; .*data\.cache"):
        store_folder(tmp_path / "photos", None)
    assert store_folder(tmp_path / "photos", str(tmp_path / "elsewhere"))[0] == tmp_path / "elsewhere"


def test_a_home_folder_that_nobody_has_is_told(tmp_path):
    with pytest.raises(LimnerError, match=r"data\.cache: ~no-such-user/x is in the home folder of a user who does not"):
        store_folder(tmp_path, "~no-such-user/x")


def test_a_disk_that_is_full_while_images_are_stored_is_told(many, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    folder = many(3)
    monkeypatch.setattr(limner_coco.store.os, "fsync", full)
    with pytest.raises(LimnerError, match=r"cannot be stored in .*store: No space left on device; .*data\.cache"):
        prepare(folder)
    monkeypatch.undo()
    assert grays(prepare(folder)) == [0, 1, 2]


def test_an_index_that_nests_deeply_is_made_again(many):
    folder = many(2)
    prepare(folder)
    index = folder.parent / "store" / "all-8px.index"
    index.write_bytes(index.read_bytes().splitlines(keepends=True)[0] + b"[" * 100_000 + b"\n")
    assert grays(prepare(folder)) == [0, 1]


def test_a_file_found_under_another_name_is_another_file(tmp_path):
    """The same listing, size and time, but now the exact name is there."""
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "Case").touch()
    if (tmp_path / "case").exists():
        pytest.skip("these are the same name on this system")
    for name, gray in (("A.png", 10), ("a.png", 20)):
        Image.new("L", (8, 8), gray).save(folder / name, compress_level=0)
        os.utime(folder / name, ns=(5, 5))
        assert grays(prepare(folder, ["a.png"])) == [gray]


@pytest.mark.parametrize("name", ["../secret.png", "deep/../../secret.png", "linked.png", "linked/secret.png"])
def test_a_name_that_leads_outside_is_refused(tmp_path, name):
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"x")
    (folder / "linked.png").symlink_to(tmp_path / "secret.png")
    (folder / "linked").symlink_to(tmp_path)
    for given in (name, str(tmp_path / "secret.png")):
        with pytest.raises(LimnerError, match=r"The file '.*' is outside of .*images, and only files within are read"):
            find(folder, [given])
        assert find(folder, [given], tmp_path)[0].bytes == 1, "another folder of the root is within"


def test_a_folder_of_images_may_be_a_link(tmp_path):
    """Images are often on another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.png").write_bytes(b"x")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "images").symlink_to(tmp_path / "disk")
    assert find(tmp_path / "root" / "images", ["a.png"], tmp_path / "root")[0].bytes == 1


def test_an_id_without_an_ending_names_the_only_image_that_has_it(tmp_path):
    for name in ("0001.jpg", "0001.txt", "0002.jpg", "0002.png"):
        (tmp_path / name).write_bytes(b"x")
    one, two = find(tmp_path, ["0001", "0002"])
    assert (one.path.name, two.bytes) == ("0001.jpg", -1)


def test_a_folder_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(limner_coco.finding.Path, "stat", refuse)
    with pytest.raises(LimnerError, match=r"a\.png cannot be read: Permission denied"):
        find(tmp_path, ["a.png"])


def test_where_the_store_is(tmp_path, monkeypatch):
    root = tmp_path / "photos"
    root.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "me"))
    assert store_folder(root, None) == (root / ".limner", "")
    folder, prefix = store_folder(root, str(tmp_path / "cache"))
    assert folder == tmp_path / "cache"
    other = tmp_path / "more" / "photos"
    other.mkdir(parents=True)
    assert prefix.startswith("photos-")
    assert prefix != store_folder(other, str(tmp_path / "cache"))[1], "two folders with the same name stay apart"
    other.chmod(0o555)
    assert store_folder(other, None)[0] == tmp_path / "me" / ".cache" / "limner"
    assert not (other / ".limner").exists()
    other.chmod(0o755)


@pytest.mark.slow
def test_memory_use_stays_constant(tmp_path):
    """Eight times as many images take no more memory, although 60 MB of pixels are written."""
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (96, 72), (9, 99, 199)).save(folder / "0.jpg")
    code = """
import sys
from pathlib import Path
from limner_coco.finding import Found
from limner_coco.store import PixelStore
folder, at = Path(sys.argv[1]), Path(sys.argv[2])
def own():
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) / 1000
def files(count):
    return [Found(f"{i}.jpg", folder / "0.jpg", 1, 1) for i in range(count)]
PixelStore(at, "few", 64).prepare(files(600))
before = own()
pixels = PixelStore(at, "many", 64).prepare(files(4800)).pixels
print(own() - before, len(pixels))
""".replace("\\\\\\\\", "\\\\")
    if not os.path.exists("/proc/self/status"):  # noqa: PTH110
        pytest.skip("only Linux reports the memory of a process")
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    grown, count = map(float, done.stdout.split())
    assert count == 4800
    assert grown < 20
    assert json.loads((tmp_path / "many-64px.index").read_text().splitlines()[0])["size"] == 64
    assert np.memmap(tmp_path / "many-64px.pixels").size == 4800 * 3 * 64 * 64
