"""What is read of shards: layouts of captions, names of shards, and one sentence for each that cannot be read."""

import gzip
import json
import tarfile
import warnings

import pytest
from limner import LimnerError
from limner_shards import listing
from limner_shards.dataset import Shards
from limner_shards.tars import read_samples, scan_samples


def load(root, **options):
    return Shards(16, root=str(root), **options).load()


def captions_of(data):
    return [[a["caption"] for a in of_image] for of_image in data.annotations]


def as_json(**content):
    return {"json": json.dumps(content).encode()}


# --- what can be read -----------------------------------------------------------------------------------------------


def test_images_have_the_lines_of_their_texts_as_captions(make_shards):
    data = load(make_shards([0, 1], [2]))
    assert data.pixels[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert captions_of(data)[1:] == [["wall number 1", "a plain wall"], ["wall number 2", "a plain wall"]]


@pytest.mark.parametrize(
    ("files", "captions"),
    [
        (as_json(caption="a wall", url="x", status="success"), ["a wall"]),
        (as_json(captions=["a wall", " ", "red\nwall"]), ["a wall", "red wall"]),
        (as_json(caption=["a wall", "red wall"]), ["a wall", "red wall"]),
        (as_json(annotations=[{"caption": "a wall", "id": 7}]), ["a wall"]),
        (as_json(caption=None, width=24), ["wall number 0", "a plain wall"]),
        ({"TXT": b"\xef\xbb\xbfeine W\xc3\xa4nde\r\n", "txt": None}, ["eine Wände"]),
    ],
)
def test_captions_in_json_come_first(make_shards, files, captions):
    assert captions_of(load(make_shards([(0, files)]))) == [captions]


def test_scanning_finds_what_reading_finds(make_shards):
    folder = make_shards([0, (1, {"txt": None}), (2, {"png": None}), (3, {"cls": b"3"}), (4, as_json(caption=[]))])
    read, scanned = (list(function(folder / "000.tar")) for function in (read_samples, scan_samples))
    as_text = lambda s: s if isinstance(s, str) else (s.name, s.annotations)  # noqa: E731
    assert list(map(as_text, read)) == list(map(as_text, scanned))
    assert [s for s in read if isinstance(s, str)] == [
        "0001 has an image and no caption",
        "0002 has a caption and no image",
    ]


def test_shards_are_a_folder_a_pattern_or_one_file(make_shards, monkeypatch):
    folder = make_shards([0, 1], [2], [3])
    (folder / "README.md").write_text("shards")
    monkeypatch.chdir(folder.parent)
    counts = [len(load(root)) for root in ("shards", "shards/{000..001}.tar", "shards/{000,002}.tar", "shards/001.tar")]
    assert counts == [4, 3, 3, 1]


def test_compressed_shards_are_read(make_shards):
    folder = make_shards([0, 1])
    (folder / "000.tar.gz").write_bytes(gzip.compress((folder / "000.tar").read_bytes()))
    (folder / "000.tar").unlink()
    assert len(load(folder)) == 2


def test_captions_are_kept_beside_the_shards_until_these_change(make_shards):
    folder = make_shards([0, 1])
    load(folder)
    [kept] = (folder / ".limner").iterdir()
    kept.write_text(kept.read_text().replace("number 1", "number one"))
    assert "wall number one" in Shards(16, root=str(folder)).stream().captions
    kept.write_text("{")
    assert "wall number 1" in Shards(16, root=str(folder)).stream().captions
    make_shards([0, 1, 2], name="other")
    (folder.parent / "other" / "000.tar").replace(folder / "000.tar")
    assert Shards(16, root=str(folder)).stream().images == 3


def test_the_commands_write_and_check_shards(command, tmp_path):
    folder = tmp_path / "out"
    assert command("export-data", "scenes-one", "--out", folder, "--shards", 3, "--set", "data.count=20")[0] == 0
    status, out, _ = command("data", "shards", "--root", folder, "--thorough")
    assert status == 0
    assert "3 shards of" in out
    assert "20 images, 20 captions (1 per image)" in out
    assert 'data={name="shards"' in out


def test_the_command_names_what_is_broken(make_shards, command):
    folder = make_shards([0, (1, {"png": b"no image"})], [(2, {"txt": None}), 3])
    status, out, _ = command("data", "shards", "--root", folder, "--thorough")
    assert status == 1
    assert "2 keys cannot be used: " in out
    assert "001.tar: 0002 has an image and no caption" in out
    assert "000.tar: 0001.png cannot be decoded (cannot identify image file)" in out


# --- shards that cannot be read -------------------------------------------------------------------------------------


def cut(path, files, more=0):
    """Keep only the first files of a tar file, and some bytes of the next one."""
    with tarfile.open(path) as tar:
        length = tar.getmembers()[files].offset + more
    path.write_bytes(path.read_bytes()[:length])


def only_text(path):
    with tarfile.open(path, "w") as tar:
        tar.add(__file__, "script.py")


def doubled(path):
    with tarfile.open(path, "w") as tar:
        tar.add(__file__, "a.txt")
        tar.add(__file__, "a.TXT")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b""), "001.tar is an empty file; write or copy"),
        (lambda path: path.write_bytes(b"\0" * 10240), "001.tar holds no captioned image; expected images such as"),
        (lambda path: path.write_text("<html>Not found</html>" * 100), "001.tar is not a tar file, or is damaged"),
        (only_text, "001.tar holds no captioned image"),
        (doubled, "001.tar has two files that are called a.TXT"),
        (lambda path: cut(path, 4), r"001.tar is truncated or damaged: the last file that can be read is 0004\.txt"),
        (lambda path: cut(path, 2, more=90), r"truncated or damaged: .* is 0003\.txt; write or copy the shard again"),
        (lambda path: cut(path, 3, more=600), r"truncated or damaged: .* is 0004\.png; write or copy the shard again"),
        (lambda path: path.unlink(), "1 of 2 shards are missing, the first is .*001.tar; check"),
    ],
)
def test_a_bad_shard_is_named(make_shards, damage, message):
    folder = make_shards([0, 1, 2], [3, 4, 5, 6])
    damage(folder / "001.tar")
    with pytest.raises(LimnerError, match=message):
        load(folder / "{000..001}.tar")


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("nowhere", "1 of 1 shards are missing, the first is nowhere"),
        ("", "has no shards, which are files such as shard-000000.tar; write some with `limner export-data"),
        ("{000..", "the braces of {000.. are not closed"),
        ("{0..999999999}.tar", "more than 100000 shards"),
    ],
)
def test_a_bad_root_is_named(tmp_path, monkeypatch, root, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LimnerError, match=message):
        load(root)


# --- images that cannot be used -------------------------------------------------------------------------------------

PROBLEMS = [
    ({"txt": None}, "0001 has an image and no caption"),
    ({"txt": b" \n"}, "0001 has an image and no caption"),
    ({"png": None}, "0001 has a caption and no image"),
    ({"jpg": b""}, "0001 has 2 images, jpg and png"),
    ({"txt": b"\xff\xfe"}, "0001.txt is not text in UTF-8"),
    ({"json": b"{"}, r"0001.json cannot be read \(Invalid JSON"),
    (as_json(caption=7), r"0001.json cannot be read \(caption"),
    ({"txt": b"a" * 10_001}, "0001 has a caption of 10001 letters"),
]


@pytest.mark.parametrize(("files", "message"), PROBLEMS)
def test_an_incomplete_key_is_named_and_can_be_left_out(make_shards, files, message):
    folder = make_shards([0, (1, files), 2])
    with pytest.raises(
        LimnerError, match=f"1 of 3 keys cannot be used: .*000.tar: {message}.*more than data.bad_images"
    ):
        load(folder)
    with pytest.warns(UserWarning, match=f"1 of 3 keys cannot be used: .*{message}.*They are left out"):
        data = load(folder, bad_images=0.5)
    assert data.pixels[:, 0, 0, 0].tolist() == [0, 2]


def test_a_broken_image_is_named_and_can_be_left_out(make_shards):
    folder = make_shards([0, (1, {"png": b"no image"}), 2])
    named = r"1 of 3 images cannot be decoded, the last is 0001.png of .*000.tar \(cannot identify image file\)"
    with pytest.raises(LimnerError, match=f"{named}. This is more than data.bad_images = 1%"):
        load(folder)
    with pytest.warns(UserWarning, match=f"{named}; they are left out"):
        data = load(folder, bad_images=0.5)
    assert data.pixels[:, 0, 0, 0].tolist() == [0, 2]


def test_broken_images_are_counted_and_warned_of_ever_more_rarely(make_shards):
    folder = make_shards([(number, {"png": b"no image"}) for number in range(12)] + [12])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load(folder, bad_images=1.0)
    assert [str(w.message)[:8] for w in caught] == ["1 of 13 ", "10 of 13"]


def test_a_backslash_separates_folders_on_windows(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("data\\x0.tar", "data\\x1.tar"):
        (tmp_path / name).touch()
    monkeypatch.setattr(listing, "ESCAPES", False)
    assert [path.as_posix() for path in listing.find_shards("data\\x{0..1}.tar")] in (
        ["data\\x0.tar", "data\\x1.tar"],  # elsewhere, these are names
        ["data/x0.tar", "data/x1.tar"],
    )
