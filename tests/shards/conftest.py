"""Small shards: images of one color each, with captions that name it."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from webdataset.writer import TarWriter


def picture(number: int) -> bytes:
    """An image in PNG whose red is its number."""
    file = io.BytesIO()
    Image.fromarray(np.full((20, 24, 3), (number, 0, 0), np.uint8)).save(file, "png")
    return file.getvalue()


def sample(number: int, files: Mapping[str, bytes | None]) -> dict[str, Any]:
    """An image with two captions. `files` replaces its files by their endings; None removes one."""
    usual: dict[str, bytes | None] = {
        "png": picture(number),
        "txt": f"wall number {number}\n\na  plain wall\n".encode(),
    }
    return {"__key__": f"{number:04d}"} | {
        name: data for name, data in (usual | dict(files)).items() if data is not None
    }


@pytest.fixture
def make_shards(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder with a shard for each list of samples. A sample is a number, or a number and changed files."""

    def make(*shards: list[Any], name: str = "shards") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for place, samples in enumerate(shards):
            with (folder / f"{place:03d}.tar").open("wb") as file, TarWriter(file, encoder=False) as tar:
                for entry in samples:
                    tar.write(sample(entry, {}) if isinstance(entry, int) else sample(*entry))
        return folder

    return make
