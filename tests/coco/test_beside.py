"""Text files beside images: which are images, which text belongs to which, and what is left out is named."""

import json
import os
from pathlib import Path

import pytest
from limner import LimnerError
from limner_coco.beside import texts_beside
from limner_coco.checking import check
from limner_coco.folder import CaptionedFolder
from limner_coco.layouts import read_listing
from PIL import Image


def draw(path: Path, kind: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20)).save(path, format=kind)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def pairs(folder: Path) -> dict[str, list[str]]:
    """The files of a listing, each with its captions."""
    listing = texts_beside(folder)
    assert listing is not None
    names = {image["id"]: image["file_name"] for image in listing.table["images"]}
    captions: dict[str, list[str]] = {name: [] for name in names.values()}
    for annotation in listing.table["annotations"]:
        captions[names[annotation["image_id"]]].append(annotation["caption"])
    return captions


def test_images_are_recognized_by_their_content(tmp_path):
    """Endings that cameras, browsers and old programs write, and none at all."""
    kinds = {
        "0.jfif": "JPEG",
        "1.avif": "AVIF",
        "2.JPG_large": "JPEG",
        "3": "PNG",
        "4.tmp2": "WEBP",
        "5.jpg.download": "GIF",
    }
    for name, kind in kinds.items():
        draw(tmp_path / name, kind)
        write(
            (tmp_path / name).with_suffix(".txt") if name != "5.jpg.download" else tmp_path / "5.jpg.txt", f"a {kind}"
        )
    write(tmp_path / "data.bin", "this is no image")
    assert pairs(tmp_path) == {name: [f"a {kind}"] for name, kind in kinds.items()}
    assert len(CaptionedFolder(16, root=str(tmp_path)).load()) == len(kinds)


def test_an_image_that_is_not_decoded_is_named(tmp_path):
    for number in range(2):
        draw(tmp_path / f"{number}.png")
        write(tmp_path / f"{number}.txt", "a cat")
    (tmp_path / "2.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    write(tmp_path / "2.txt", "a cat")
    note = "1 images are in a format that is not decoded and should be saved as PNG or JPEG: 2.heic"
    assert check("it", tmp_path, "train2017").notes == (note,)
    with pytest.raises(LimnerError, match=r"2\.heic \(HEIC images cannot be decoded; save it as PNG or JPEG\)"):
        CaptionedFolder(16, root=str(tmp_path)).load()


def test_every_text_and_image_that_is_left_out_is_named(tmp_path):
    for name in ("a", "b"):
        draw(tmp_path / "pictures" / f"{name}.png")
    write(tmp_path / "pictures" / "a.txt", "a cat")
    write(tmp_path / "pictures" / "c.txt", "a dog")
    write(tmp_path / "README.txt", "about these pictures")
    write(tmp_path / "classes.txt", "cat\ndog")
    health = check("it", tmp_path, "train2017")
    assert health.notes == (
        "1 of 2 images have no text file next to them and are left out: pictures/b.png",
        "1 text files belong to no image and are left out: pictures/c.txt",
    )
    assert health.remarks == ("1 text files belong to no image and are left out: classes.txt",)
    with pytest.warns(UserWarning, match=r"are left out: (pictures/b\.png|pictures/c\.txt|classes\.txt)\.$") as caught:
        CaptionedFolder(16, root=str(tmp_path)).load()
    assert len(caught) == 3


LEFT = [
    *(".DS_Store", "Thumbs.db", "desktop.ini", "._a.png", "._a.txt", "a.txt~", "a.png~", ".a.txt.swp", "#a.txt#"),
    *("~$a.csv", ".~lock.a.csv#", "a.txt.bak", "Icon\r", "__MACOSX/a.png", "@eaDir/a.png", ".git/a.txt", "b.csv~"),
]


@pytest.mark.parametrize("name", [name for name in LEFT if os.name != "nt" or name.isprintable()])
def test_what_systems_and_editors_leave_is_no_data(tmp_path, name):
    draw(tmp_path / "a.png")
    write(tmp_path / "a.txt", "a cat")
    write(tmp_path / name, "\0\1")
    assert pairs(tmp_path) == {"a.png": ["a cat"]}
    health = check("it", tmp_path, "train2017", thorough=True)
    assert (health.complete, health.images, health.remarks) == (True, 1, ())


@pytest.mark.parametrize("name", ["._c.csv", "~$c.csv", ".~lock.c.csv#", "c.csv~", ".#c.csv", "c.csv.bak"])
def test_what_they_leave_is_no_second_table(tmp_path, name):
    draw(tmp_path / "a.png")
    write(tmp_path / "c.csv", "file,caption\na.png,a cat\n")
    write(tmp_path / name, "\0\1")
    assert len(CaptionedFolder(16, root=str(tmp_path)).load()) == 1


def test_only_line_breaks_separate_captions(tmp_path):
    draw(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes("one\u2028still one\x0b\x85\x1c one\r\ntwo\rthree\n".encode())
    assert pairs(tmp_path)["a.png"] == ["one\u2028still one\x0b\x85\x1c one", "two", "three"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_no_text_and_no_image(tmp_path):
    draw(tmp_path / "a.png")
    write(tmp_path / "a.txt", "a cat")
    for name in ("b.txt", "c.png", "captions.json", "c.csv", "d"):
        os.mkfifo(tmp_path / name)
    assert pairs(tmp_path) == {"a.png": ["a cat"]}
    assert len(CaptionedFolder(16, root=str(tmp_path)).load()) == 1


@pytest.mark.parametrize("name", ["a.txt", "captions.json", "c.csv", "other.json"])
def test_captions_are_not_read_through_a_link_to_elsewhere(tmp_path, name):
    """They would become the words of a model that is given away."""
    write(tmp_path / "secret", '[{"file": "a.png", "caption": "my password"}]')
    draw(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / name).symlink_to(tmp_path / "secret")
    with pytest.raises(LimnerError, match=f"The file '{name}' is outside of .*photos, and only files within are read"):
        read_listing(tmp_path / "photos", "train2017")


def test_names_in_a_message_are_printable(tmp_path):
    for name in ("a\nb", "c\x1b[2J"):
        draw(tmp_path / f"{name}.png")
    draw(tmp_path / "d.png")
    write(tmp_path / "d.txt", "a cat")
    (note,) = check("it", tmp_path, "train2017").notes
    assert note.endswith(r"a\nb.png; c\x1b[2J.png")


# --- published sets -------------------------------------------------------------------------------------------------


def test_shards_of_img2dataset(tmp_path):
    for number in range(3):
        name = tmp_path / "00000" / f"00000000{number}"
        draw(name.with_suffix(".jpg"), "JPEG")
        write(
            name.with_suffix(".json"),
            json.dumps({"caption": f"alt {number}", "url": "https://x/y", "status": "success"}),
        )
        if number < 2:
            write(name.with_suffix(".txt"), f"alt {number}")
    write(tmp_path / "00000_stats.json", json.dumps({"count": 3, "successes": 3}))
    write(tmp_path / "00000.parquet", "PAR1")
    assert pairs(tmp_path) == {f"00000/00000000{number}.jpg": [f"alt {number}"] for number in range(3)}
    assert check("it", tmp_path, "train2017").complete


def test_captions_of_cub_in_folders_of_their_own(tmp_path):
    """As published with Reed et al. 2016: ten lines for each bird, in a tree that mirrors that of the images."""
    for kind, bird in (("001.Albatross", "Albatross_0001"), ("002.Auklet", "Auklet_0001")):
        draw(tmp_path / "CUB_200_2011/images" / kind / f"{bird}_7.jpg", "JPEG")
        write(tmp_path / "text_c10" / kind / f"{bird}_7.txt", "\n".join(f"this bird {line}" for line in range(10)))
    write(tmp_path / "CUB_200_2011/classes.txt", "1 001.Albatross")
    read = pairs(tmp_path)
    assert list(read) == [
        f"CUB_200_2011/images/{k}_7.jpg" for k in ("001.Albatross/Albatross_0001", "002.Auklet/Auklet_0001")
    ]
    assert [len(captions) for captions in read.values()] == [10, 10]
    assert check("it", tmp_path, "train2017").complete


def test_captions_of_oxford_102_by_class(tmp_path):
    for number, kind in ((1, 77), (6734, 1)):
        draw(tmp_path / "jpg" / f"image_{number:05d}.jpg", "JPEG")
        write(tmp_path / "text_c10" / f"class_{kind:05d}" / f"image_{number:05d}.txt", "this flower\nthis petal\n")
    assert pairs(tmp_path) == {f"jpg/image_{n:05d}.jpg": ["this flower", "this petal"] for n in (1, 6734)}


def test_the_same_names_in_two_folders_stay_apart(tmp_path):
    for split in ("train", "val"):
        draw(tmp_path / "images" / split / "1.png")
        write(tmp_path / "texts" / split / "1.txt", split)
    assert pairs(tmp_path) == {f"images/{split}/1.png": [split] for split in ("train", "val")}


def test_names_differ_in_case_and_in_the_composition_of_accents(tmp_path):
    draw(tmp_path / "B\u00e4r.PNG")
    write(tmp_path / "ba\u0308r.txt", "a bear")
    assert list(pairs(tmp_path).values()) == [["a bear"]]


def test_an_odd_caption_in_json_is_an_error(tmp_path):
    draw(tmp_path / "a.png")
    write(tmp_path / "a.json", '{"caption": 5}')
    with pytest.raises(LimnerError, match=r"a\.json: expected a text or a list of texts as 'caption', got 5"):
        texts_beside(tmp_path)
