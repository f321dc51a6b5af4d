"""MS-COCO as it is published: which archives there are, fetching them so that nothing is lost, and unpacking them."""

import hashlib
import http.client
import shutil
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from limner import LimnerError
from tqdm import tqdm

SOURCE = "http://images.cocodataset.org"
ATTEMPTS, PAUSE, PATIENCE = 5, 2.0, 60.0  # tries that bring nothing, seconds between them, seconds to wait for a byte
PIECE = 1 << 20


@dataclass(frozen=True)
class Archive:
    """One of MS-COCO's archives: its place below `SOURCE`, its size, its SHA-256, and what of it is unpacked.

    The site gives the sizes, but no checksums; these are the ones that several projects that keep copies agree upon.
    """

    place: str
    bytes: int
    sha256: str
    holds: str  # the beginning of the names that are unpacked

    @property
    def name(self) -> str:
        """The file's name."""
        return self.place.rpartition("/")[2]


ANNOTATIONS = Archive(
    "annotations/annotations_trainval2017.zip",
    252_907_541,
    "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    "annotations/captions_",
)
SPLITS = {
    "train2017": Archive(
        "zips/train2017.zip",
        19_336_861_798,
        "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
        "train2017/",
    ),
    "val2017": Archive(
        "zips/val2017.zip",
        815_585_330,
        "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        "val2017/",
    ),
}
"""The archive of images of each split whose captions are published."""


def obtain(archive: Archive, root: Path, source: str = SOURCE) -> None:
    """Fetch an archive into `root`, unless it lies there, make sure that it is the published one, and unpack it.

    Stopped at any moment and called again, it goes on where it was.

    Raises:
        LimnerError: where there is no room, no connection, or another file than the published one.
    """
    path = root / archive.name
    if not path.is_file():
        partial = path.with_name(f"{path.name}.part")
        have = partial.stat().st_size if partial.is_file() else 0
        require_space(root, max(0, archive.bytes - have) + archive.bytes)  # it is unpacked beside itself
        fetch(f"{source.rstrip('/')}/{archive.place}", partial, archive.bytes)
        verify(partial, archive)
        partial.replace(path)
    elif path.stat().st_size != archive.bytes:
        raise LimnerError(
            f"{path} has {path.stat().st_size} bytes, the published archive {archive.bytes}; remove it and try again."
        )
    unpack(path, root, archive.holds)


def require_space(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk has no room for."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise LimnerError(
            f"{needed / 1e9:.1f} GB are needed in {folder}, and {free / 1e9:.1f} GB are free; make room, or name a "
            "folder on another disk by --root."
        )


def fetch(url: str, path: Path, size: int) -> None:
    """Fetch a file of a known size; what is there of it already is kept, and only the rest is asked for.

    A connection that breaks is made again as long as it brings something, and a few times if it does not.

    Raises:
        LimnerError: where there is no connection, or a file of another size.
    """
    if path.is_file() and path.stat().st_size > size:
        path.unlink()
    with (
        path.open("ab") as file,
        tqdm(total=size, initial=file.tell(), desc=path.name.removesuffix(".part"), unit="B", unit_scale=True) as bar,
    ):
        failures = 0
        while (have := file.tell()) < size:
            try:
                _fetch_rest(url, file, size, bar)
                cause = "the connection was closed"
            except urllib.error.HTTPError as error:
                cause = f"the server says {error.code} {error.reason}"
                failures += ATTEMPTS if error.code < 500 else 0  # asking again does not help
            except (OSError, http.client.HTTPException) as error:
                cause = str(getattr(error, "reason", error)) or type(error).__name__
            except ValueError as error:
                raise LimnerError(
                    f"{url} cannot be fetched: {error}; an address begins with http:// or https://."
                ) from None
            failures = failures + 1 if file.tell() <= have else 0
            if failures >= ATTEMPTS:
                raise LimnerError(
                    f"{url} cannot be fetched: {cause}. What has come, {file.tell()} of {size} bytes, is kept in "
                    f"{path}: give the command again to go on."
                )
            if failures:
                time.sleep(PAUSE)


def _fetch_rest(url: str, file, size: int, bar) -> None:
    """Ask for what is missing behind the end of an open file, and append what comes."""
    have = file.tell()
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        if have and answer.status != 206:  # it sends the whole file
            file.truncate(0)
            file.seek(0)
            bar.reset()
            have = 0
        whole = (
            answer.headers.get("Content-Range", "").rpartition("/")[2] if have else answer.headers.get("Content-Length")
        )
        if whole and whole.isdigit() and int(whole) != size:
            raise LimnerError(f"{url} has {whole} bytes and the published archive {size}: it is another file.")
        if have and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise LimnerError(f"{url} does not go on where it was asked to; remove {file.name} and try again.")
        while piece := answer.read(PIECE):
            file.write(piece)
            bar.update(len(piece))
            if file.tell() > size:
                raise LimnerError(
                    f"{url} goes on behind the {size} bytes of the published archive: it is another file."
                )


def verify(path: Path, archive: Archive) -> None:
    """Make sure that a file that was fetched is the published archive, by its SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file, tqdm(total=archive.bytes, desc="verifying", unit="B", unit_scale=True) as bar:
        while piece := file.read(PIECE):
            digest.update(piece)
            bar.update(len(piece))
    if digest.hexdigest() != archive.sha256:
        raise LimnerError(
            f"{path} is damaged, or not the published archive: its SHA-256 is {digest.hexdigest()}, expected "
            f"{archive.sha256}; remove it and try again."
        )


def unpack(path: Path, root: Path, holds: str) -> None:
    """Unpack the files of an archive whose names begin with `holds`; those that are there in full are passed over.

    Raises:
        LimnerError: where the archive is damaged, or there is no room.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = [entry for entry in archive.infolist() if entry.filename.startswith(holds) and not entry.is_dir()]
            missing = [entry for entry in files if _size(root / entry.filename) != entry.file_size]
            require_space(root, sum(entry.file_size for entry in missing))
            for entry in tqdm(missing, desc=f"unpacking {path.name}", unit=" files", disable=not missing):
                archive.extract(entry, root)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise LimnerError(f"{path} is damaged: {error}; remove it and try again.") from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
