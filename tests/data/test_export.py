"""Data as a folder in the COCO layout: what is written, and what cannot be."""

import limner.data.export
import pytest
import torch
from limner import CaptionedImages, LimnerError, coco_index
from limner.data.export import export
from limner_coco.folder import CaptionedFolder


@pytest.fixture
def holding(monkeypatch):
    """Replaces the data of every recipe by images with these file names."""

    def hold(*names: str) -> None:
        images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
        annotations = [{"image_id": number, "caption": f"кот {number}"} for number in range(len(names))]
        pixels = torch.arange(len(names), dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 3, 16, 16)
        data = CaptionedImages(
            pixels, coco_index({"images": images, "annotations": annotations}, "it"), list(range(len(names)))
        )
        dataset = type("Held", (), {"load": lambda self: data, "stream": lambda self: None})
        monkeypatch.setattr(limner.data.export, "build_dataset", lambda recipe: dataset())

    return hold


def test_what_is_written_is_read_back(holding, tmp_path):
    holding("a.png", "deep/б.jpg", "\udcff.png")
    assert export("scenes-one", tmp_path / "out") == 3
    data = CaptionedFolder(16, root=str(tmp_path / "out")).load()
    assert [data.coco.imgs[n]["file_name"] for n in data.image_ids] == ["a.png", "deep/б.jpg.png", "\udcff.png"]
    assert data.pixels[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert [a["caption"] for of_image in data.annotations for a in of_image] == ["кот 0", "кот 1", "кот 2"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["../a.png"], "The image ../a.png would be written outside"),
        (["/a.png"], "The image /a.png would be written outside"),
        (["a.png", "./a.png"], r"\./a\.png and the name of another image are one file on this disk"),
        (["a.jpg", "a.jpg.png"], r"Two images would be written as a\.jpg\.png; give them different names"),
        (["x" * 300], "cannot be written: File name too long"),
    ],
)
def test_names_that_cannot_be_written_are_refused(holding, tmp_path, names, message):
    holding(*names)
    with pytest.raises(LimnerError, match=message):
        export("scenes-one", tmp_path / "out")


def test_a_disk_that_is_full_or_read_only_is_told(holding, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    holding("a.png")
    monkeypatch.setattr(limner.data.export.Image.Image, "save", full)
    with pytest.raises(LimnerError, match="out cannot be written: No space left on device"):
        export("scenes-one", tmp_path / "out")
