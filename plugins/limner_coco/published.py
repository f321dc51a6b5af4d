"""Downloads MS-COCO: its archives, resuming an interrupted download, verifying and unpacking."""

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
ATTEMPTS, PAUSE, TIMEOUT = 5, 2.0, 60.0  # failed attempts in a row; seconds between them; seconds to wait for data
CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Archive:
    """One of MS-COCO's archives: its path below `SOURCE`, its size, its SHA-256, and which files are unpacked.

    The site publishes sizes but no checksums; these are the ones on which several projects with copies agree.
    """

    place: str
    bytes: int
    sha256: str
    holds: str  # the prefix of the names that are unpacked

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
"""The archive of images of each split with published captions."""


def obtain(archive: Archive, root: Path, source: str = SOURCE) -> None:
    """Downloads an archive into `root` unless it is there, verifies it, and unpacks it.

    If it is interrupted at any moment, the next call resumes.

    Raises:
        LimnerError: if the disk is too small, the connection fails, or the file is not the published one.
    """
    path = root / archive.name
    if not path.is_file():
        partial = path.with_name(f"{path.name}.part")
        have = partial.stat().st_size if partial.is_file() else 0
        require_space(root, max(0, archive.bytes - have) + archive.bytes)  # for the archive and its unpacked files
        fetch(f"{source.rstrip('/')}/{archive.place}", partial, archive.bytes)
        verify(partial, archive)
        partial.replace(path)
    elif path.stat().st_size != archive.bytes:
        raise LimnerError(
            f"{path} has {path.stat().st_size} bytes, the published archive {archive.bytes}; remove it and try again."
        )
    unpack(path, root, archive.holds)


def require_space(folder: Path, needed: int) -> None:
    """Raises a `LimnerError` if the disk has too little free space."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise LimnerError(
            f"{needed / 1e9:.1f} GB are needed in {folder}, and {free / 1e9:.1f} GB are free; free some space, or name "
            "a folder on another disk with --root."
        )


def fetch(url: str, path: Path, size: int) -> None:
    """Downloads a file of known size. What is already there is kept, and only the rest is requested.

    A broken connection is opened again as long as some data arrives, and `ATTEMPTS` times if none does.

    Raises:
        LimnerError: if the connection fails, or the file has another size.
    """
    _require_own_file(path)
    if path.is_file() and path.stat().st_size > size:
        path.unlink()
    with (
        path.open("ab") as file,
        tqdm(total=size, initial=file.tell(), desc=path.name.removesuffix(".part"), unit="B", unit_scale=True) as bar,
    ):
        failures, most = 0, file.tell()
        while file.tell() < size:
            try:
                _fetch_rest(url, file, size, bar)
                cause = "the connection was closed"
            except urllib.error.HTTPError as error:
                cause = f"the server says {error.code} {error.reason}"
                failures += ATTEMPTS if error.code < 500 else 0  # another attempt does not help
            except (OSError, http.client.HTTPException) as error:
                cause = str(getattr(error, "reason", error)) or type(error).__name__
            except ValueError as error:
                raise LimnerError(
                    f"{url} cannot be downloaded: {error}; an address starts with http:// or https://."
                ) from None
            failures = failures + 1 if file.tell() <= most else 0
            most = max(most, file.tell())  # a server that always starts over may send less than before
            if failures >= ATTEMPTS:
                raise LimnerError(
                    f"{url} cannot be downloaded: {cause}. {file.tell()} of {size} bytes are kept in {path}: run the "
                    "command again to resume."
                )
            if failures:
                time.sleep(PAUSE)


def _fetch_rest(url: str, file, size: int, bar) -> None:
    """Requests what follows the end of an open file, and appends it."""
    have = file.tell()
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
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
            raise LimnerError(f"{url} does not resume at the requested byte; remove {file.name} and try again.")
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
            if file.tell() > size:
                raise LimnerError(f"{url} has more than the {size} bytes of the published archive: it is another file.")


def verify(path: Path, archive: Archive) -> None:
    """Raises a `LimnerError` if a downloaded file is not the published archive, by its SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file, tqdm(total=archive.bytes, desc="verifying", unit="B", unit_scale=True) as bar:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    if digest.hexdigest() != archive.sha256:
        raise LimnerError(
            f"{path} is damaged, or not the published archive: its SHA-256 is {digest.hexdigest()}, expected "
            f"{archive.sha256}; remove it and try again."
        )


def unpack(path: Path, root: Path, holds: str) -> None:
    """Unpacks the files of an archive whose names start with `holds`, except those that are already complete.

    Raises:
        LimnerError: if the archive is damaged, or the disk is too small.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = [entry for entry in archive.infolist() if entry.filename.startswith(holds) and not entry.is_dir()]
            missing = [entry for entry in files if _size(root / entry.filename) != entry.file_size]
            require_space(root, sum(entry.file_size for entry in missing))
            for entry in missing:
                _require_own_file(root / entry.filename)
            for entry in tqdm(missing, desc=f"unpacking {path.name}", unit=" files", disable=not missing):
                archive.extract(entry, root)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise LimnerError(f"{path} is damaged: {error}; remove it and try again.") from None


def _require_own_file(path: Path) -> None:
    """Raises a `LimnerError` for a link or a pipe, so that nothing but a file of this folder is written."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise LimnerError(f"{path} is a link or not a file, and is not written to; remove it.")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
