"""Images that a trained model reads from files: as training reads them, or refused in one sentence."""

import os

import numpy as np
import pytest
import torch
from limner import LimnerError, decode_image, to_float
from limner.models.scoring import open_images
from PIL import Image

IMAGES = {
    "transparent": Image.new("RGBA", (20, 30), (255, 0, 0, 0)),
    "half transparent": Image.new("LA", (20, 30), (50, 128)),
    "16 bits": Image.fromarray(np.full((30, 20), 90 * 257, np.uint16)),
    "photograph": Image.effect_noise((200, 120), 80).convert("RGB"),
}


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_an_image_looks_as_in_training(tmp_path, image):
    image.save(tmp_path / "image.png")
    (read,) = open_images([tmp_path / "image.png"], 16)
    assert torch.equal(read, to_float(torch.from_numpy(decode_image(tmp_path / "image.png", 16))))


def test_transparent_parts_are_white_and_16_bits_become_8(tmp_path):
    for name in ("transparent", "16 bits"):
        IMAGES[name].save(tmp_path / f"{name}.png")
    white, gray = open_images([str(tmp_path / "transparent.png"), tmp_path / "16 bits.png"], 16)
    assert white.min() == 1
    assert gray.mean() == pytest.approx(90 / 127.5 - 1, abs=0.01)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_what_is_no_image_is_refused_in_one_sentence(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text.png").write_text("a cat")
    for name, reason in (
        ("none.png", "missing"),
        ("pipe", "it is a pipe or a device, not a file"),
        ("text.png", "cannot identify image file"),
        ("a\0b", "embedded null byte"),
        ("x" * 300, "File name too long"),
    ):
        with pytest.raises(LimnerError, match=rf"cannot be read as an image: {reason}\.$"):
            open_images([tmp_path / name], 16)
