"""Image files become squares, whatever their mode, size and orientation; damaged files are reported."""

import _thread
import io
import os
import struct
import time
import warnings
import zlib
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from limner.data import images
from limner.data.images import decode_image, decode_images, image_format
from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 160, 0), (0, 0, 255), (255, 255, 255)


def color(pixels):
    """The color in the middle of an image [3, H, W]."""
    return tuple(int(value) for value in pixels[:, pixels.shape[1] // 2, pixels.shape[2] // 2])


def palette():
    image = Image.new("P", (20, 20), 1)
    image.putpalette([*GREEN, *RED, *BLUE])
    return image


MODES = {  # an image, how it is saved, and its color after decoding
    "RGB": (Image.new("RGB", (20, 20), RED), "png", {}, RED),
    "RGB, transparent": (Image.new("RGB", (20, 20), RED), "png", {"transparency": RED}, WHITE),
    "1": (Image.new("1", (20, 20), 1), "png", {}, WHITE),
    "L": (Image.new("L", (20, 20), 90), "png", {}, (90, 90, 90)),
    "L, transparent": (Image.new("L", (20, 20), 90), "png", {"transparency": 90}, WHITE),
    "16 bits": (Image.fromarray(np.full((20, 20), 90 * 257, np.uint16)), "png", {}, (90, 90, 90)),
    "16 bits, TIFF": (Image.fromarray(np.full((20, 20), 90 * 257, np.uint16)), "tif", {}, (90, 90, 90)),
    "32 bits, TIFF": (Image.fromarray(np.full((20, 20), 90 * 257, np.int32)), "tif", {}, (90, 90, 90)),
    "LA": (Image.new("LA", (20, 20), (0, 0)), "png", {}, WHITE),
    "LA, half": (Image.new("LA", (20, 20), (55, 128)), "png", {}, (155, 155, 155)),
    "P": (palette(), "png", {}, RED),
    "P, transparent": (palette(), "png", {"transparency": 1}, WHITE),
    "P, another color transparent": (palette(), "png", {"transparency": 0}, RED),
    "RGBA": (Image.new("RGBA", (20, 20), (*RED, 255)), "png", {}, RED),
    "RGBA, transparent": (Image.new("RGBA", (20, 20), (*RED, 0)), "png", {}, WHITE),
    "RGBA, half": (Image.new("RGBA", (20, 20), (*RED, 128)), "png", {}, (255, 127, 127)),
    "CMYK": (Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "jpg", {"quality": 95}, RED),
    "gray JPEG": (Image.new("L", (20, 20), 90), "jpg", {"quality": 95}, (90, 90, 90)),
    "progressive JPEG": (Image.new("RGB", (200, 200), RED), "jpg", {"quality": 95, "progressive": True}, RED),
    "GIF": (palette(), "gif", {}, RED),
    "WebP": (Image.new("RGBA", (20, 20), (*RED, 0)), "webp", {"lossless": True}, WHITE),
    "BMP": (Image.new("RGB", (20, 20), RED), "bmp", {}, RED),
}


@pytest.mark.parametrize(("image", "ending", "saving", "expected"), MODES.values(), ids=MODES)
def test_every_image_mode_becomes_rgb_on_white(tmp_path, image, ending, saving, expected):
    path = tmp_path / f"image.{ending}"
    image.save(path, **saving)
    pixels = decode_image(path, 16)
    assert pixels.shape == (3, 16, 16)
    assert pixels.dtype == np.uint8
    assert color(pixels) == pytest.approx(expected, abs=3)


def test_of_16_bit_colors_the_upper_8_bits_are_used(tmp_path):
    """Pillow cannot write such a PNG, so this one is made by hand: rows of a filter byte and big-endian numbers."""
    rows = b"".join(b"\0" + struct.pack(">HHH", 0x8012, 0x4034, 0xFF56) * 20 for _ in range(20))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert color(decode_image(tmp_path / "deep.png", 16)) == pytest.approx((0x80, 0x40, 0xFF), abs=1)


def test_an_animation_becomes_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (20, 20), shade) for shade in (RED, BLUE)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert color(decode_image(tmp_path / "moving.gif", 16)) == pytest.approx(RED, abs=3)


@pytest.mark.parametrize(("kind", "ending"), [("PNG", "jpg"), ("JPEG", "png"), ("WEBP", "jpeg"), ("PNG", "data")])
def test_a_wrong_ending_does_not_matter(tmp_path, kind, ending):
    Image.new("RGB", (20, 20), RED).save(tmp_path / f"image.{ending}", format=kind)
    assert color(decode_image(tmp_path / f"image.{ending}", 16)) == pytest.approx(RED, abs=3)


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (1, 1)), (6, (0, 1)), (8, (1, 0)), (5, (0, 0))])
def test_a_photograph_is_turned_upright(tmp_path, orientation, corner, ending):
    """The corner that the file stores at the top left moves to its right place."""
    image = Image.new("RGB", (32, 32), WHITE)
    image.paste(RED, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"turned.{ending}", exif=exif)
    pixels = decode_image(tmp_path / f"turned.{ending}", 16)
    red = {(y, x) for y in (0, 1) for x in (0, 1) if pixels[1, 3 + 10 * y, 3 + 10 * x] < 60}
    assert red == {corner}


@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0*", b"Exif\0\0garbage garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_damaged_exif_data_does_no_harm(tmp_path, exif):
    Image.new("RGB", (20, 20), RED).save(tmp_path / "image.jpg", exif=exif, quality=95)
    (pixels,) = decode_images([tmp_path / "image.jpg"], 16)
    assert color(pixels) == pytest.approx(RED, abs=3)


@pytest.mark.parametrize("shape", [(60, 20), (20, 60), (21, 60), (5, 5), (20, 301), (1, 1)])
def test_an_image_is_cropped_at_the_center(tmp_path, shape):
    width, height = shape
    image = Image.new("RGB", shape, RED)
    side = min(shape)
    left, top = (width - side) // 2, (height - side) // 2
    image.paste(BLUE, (left, top, left + side, top + side))
    image.save(tmp_path / "oblong.png")
    pixels = decode_image(tmp_path / "oblong.png", 16)
    assert (pixels[2].astype(int) - pixels[0]).mean() > 240, "all but the border is blue"


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_downsampling_leaves_no_pattern(tmp_path, ending):
    """A fine chessboard becomes gray; with a bad filter it would become black, white, or a coarse pattern."""
    board = np.indices((256, 256)).sum(0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).convert("RGB").save(tmp_path / f"board.{ending}", quality=95)
    pixels = decode_image(tmp_path / f"board.{ending}", 16).astype(int)
    assert abs(pixels - 127.5).max() < 8


def saved(kind="JPEG"):
    """The bytes of an image of noise."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


DAMAGED = {
    "cut off": saved()[:-800],
    "cut off, PNG": saved("PNG")[:-800],
    "cut off, WebP": saved("WEBP")[:-300],
    "only a head": saved()[:60],
    "empty": b"",
    "a text": b"<html>not found</html>",
    "zeros": bytes(1000),
    "a head and zeros": saved("PNG")[:40] + bytes(1000),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_gets_a_reason(tmp_path, content):
    (tmp_path / "image.jpg").write_bytes(content)
    (reason,) = decode_images([tmp_path / "image.jpg"], 16)
    assert isinstance(reason, str)
    assert reason
    assert "\n" not in reason


def test_random_damage_never_raises_an_error(tmp_path):
    random = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"):
        whole = np.frombuffer(saved(kind), np.uint8)
        for _ in range(20):
            broken = whole.copy()
            broken[random.integers(0, len(broken), 20)] = random.integers(0, 255, 20)
            broken[random.integers(0, 60, 3)] = random.integers(0, 255, 3)
            (tmp_path / "image").write_bytes(broken.tobytes())
            (result,) = decode_images([tmp_path / "image"], 16)
            assert isinstance(result, str) or result.shape == (3, 16, 16)


def test_a_decompression_bomb_is_refused(tmp_path):
    """A tiny file with 400 megapixels: its header is enough to refuse it."""
    head = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert "decompression bomb" in str(decode_images([tmp_path / "bomb.png"], 16))


def test_a_warning_about_a_bomb_is_an_error(tmp_path, monkeypatch):
    Image.new("RGB", (30, 20)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    assert "decompression bomb" in str(decode_images([tmp_path / "large.png"], 16))


def test_a_failure_after_decoding_is_no_fault_of_the_image(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("not the image")

    Image.new("RGB", (30, 20)).save(tmp_path / "good.png")
    monkeypatch.setattr(images, "rearrange", fails)
    with pytest.raises(RuntimeError, match="not the image"):
        decode_images([tmp_path / "good.png"], 16)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_a_device_and_a_folder_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("pipe", "link"):
        assert decode_images([tmp_path / name], 16) == ["it is a pipe or a device, not a file"]
    assert decode_images([tmp_path, tmp_path / "none"], 16) == ["it is a folder", "missing"]


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "image.png")

    (tmp_path / "image.png").write_bytes(saved("PNG"))
    monkeypatch.setattr(Image, "open", refuse)
    assert decode_images([tmp_path / "image.png"], 16) == ["Permission denied"]


def test_a_format_that_is_not_decoded_is_named(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(HEIC)
    assert decode_images([tmp_path / "photo.jpg"], 16) == ["HEIC images cannot be decoded; save it as PNG or JPEG"]


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
KINDS = {
    **{kind: saved(kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM")},
    "HEIC": HEIC,
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'></svg>",
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_recognized_by_its_content(tmp_path, kind):
    (tmp_path / "file.data").write_bytes(KINDS[kind])
    assert image_format(tmp_path / "file.data") == kind


@pytest.mark.parametrize(
    "content", [b"", b"a cat on a mat", b"BMW and a cat", b"\0" * 100, b"P6 is a name", b"%PDF-1.4"]
)
def test_what_is_no_image_has_no_format(tmp_path, content):
    (tmp_path / "file.jpg").write_bytes(content)
    assert image_format(tmp_path / "file.jpg") is None


def test_no_image_runs_another_program(tmp_path):
    """Pillow would start Ghostscript for this one."""
    (tmp_path / "drawing.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    assert decode_images([tmp_path / "drawing.eps"], 16) == ["cannot identify image file"]


def test_large_images_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    """All pixels that threads decode at the same time fit into the room for them."""
    for number in range(8):
        Image.new("L", (40, 40)).save(tmp_path / f"{number}.png")
    at_once: list[int] = []
    most = 0

    def slow(image):
        nonlocal most
        at_once.append(image.width * image.height)
        most = max(most, sum(at_once))
        time.sleep(0.02)
        at_once.pop()
        return image.convert("RGB")

    monkeypatch.setattr(images, "_as_rgb", slow)
    for room, expected in ((1000, 1600), (3200, 3200)):
        monkeypatch.setattr(images, "_room", images._Room(room))
        most = 0
        decode_images([tmp_path / f"{number}.png" for number in range(8)], 16)
        assert most == expected


@pytest.mark.parametrize("mode", ["LA", "RGBA", "I;16", "P"])
def test_a_strip_at_a_time_gives_the_same_pixels(tmp_path, monkeypatch, mode):
    noise = np.random.default_rng(0).integers(0, 255, (70, 90, 4), np.uint8)
    image = Image.fromarray(noise.view(np.uint16)[..., 0]) if mode == "I;16" else Image.fromarray(noise).convert(mode)
    image.save(tmp_path / "image.png")
    whole = decode_image(tmp_path / "image.png", 16)
    monkeypatch.setattr(images, "STRIP", 90 * 11)
    assert (decode_image(tmp_path / "image.png", 16) == whole).all()


def test_the_first_interruption_stops_after_the_images_at_hand(tmp_path, monkeypatch):
    paths = [tmp_path / f"{number}.png" for number in range(300)]
    done: list[object] = []

    def slow(path, size):
        if not done:
            _thread.interrupt_main()
        done.append(path)
        time.sleep(0.02)
        return Image.new("RGB", (size, size))

    monkeypatch.setattr(images, "_square", slow)
    with pytest.raises(KeyboardInterrupt):
        decode_images(paths, 16)
    assert len(done) < 100


def test_warnings_of_pillow_do_not_reach_the_user(tmp_path):
    Image.new("RGB", (20, 20), RED).save(tmp_path / "image.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode_images([tmp_path / "image.jpg"], 16)
    assert caught == []


@given(
    kind=st.sampled_from(sorted(KINDS)), at=st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=4)))
)
def test_any_damage_gives_pixels_or_a_few_words(kind, at):
    broken = bytearray(KINDS[kind])
    for place, content in at:
        broken[place : place + len(content)] = content
    with NamedTemporaryFile() as file:
        file.write(broken)
        file.flush()
        (result,) = decode_images([Path(file.name)], 16)
        kind_found = image_format(Path(file.name))
    if isinstance(result, str):
        assert 0 < len(result) <= 250
        assert "\n" not in result
    else:
        assert result.shape == (3, 16, 16)
        assert kind_found


def test_photographs_of_coco_are_decoded(shared_data):
    """One is gray, only one is a square, and none is damaged."""
    files = sorted((shared_data / "coco_mini" / "images").iterdir())
    assert len(files) == 60
    for path in files:
        assert decode_image(path, 64).shape == (3, 64, 64)
    gray = decode_image(shared_data / "coco_mini" / "images" / "000000431848.jpg", 64)
    assert (gray == gray[:1]).all()


def test_real_drawings_are_decoded(shared_data):
    for folder in ("nlvr", "noto_emoji"):
        for path in sorted((shared_data / folder / "images").iterdir())[::40]:
            with Image.open(path) as image:
                assert decode_image(path, 64).shape == (3, 64, 64)
                if image.size == (64, 64):
                    same = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
                    assert (decode_image(path, 64) == same).all(), "an image of the right size is not resized"
