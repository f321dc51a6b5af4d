"""A cache of caption features on disk, by token ids."""

import os
import sqlite3
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from limner import LimnerError
from torch import Tensor

Caption = tuple[int, ...]
PAGE = 16384  # bytes; about three of BERT's captions fit into one
CAPTIONS_PER_QUERY = 500


def cache_folder() -> Path:
    """The folder of the caches: `features` in $LIMNER_CACHE, or else in `limner` in the user's folder for caches."""
    if own := os.environ.get("LIMNER_CACHE"):
        return Path(own).expanduser() / "features"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "limner" / "features"


class FeatureCache:
    """Maps token ids to float32 features [T, H], stored exactly, in one SQLite file of limited size.

    The file is read through a memory map, so reading an entry again costs only a copy. SQLite keeps the file intact
    when a training is killed, and several trainings can use it at the same time. A full cache warns once and stores
    nothing more.
    """

    def __init__(self, path: Path, width: int, gigabytes: float):
        """
        Args:
            path: of the file, which is created if it does not exist.
            width: H, the width of the features.
            gigabytes: the largest size of the file, in units of 10^9 bytes; a larger file is kept, but does not grow.

        Raises:
            LimnerError: if the file cannot be created, or is not such a cache.
        """
        self.path, self.width, self.gigabytes = path, width, gigabytes
        self.lock, self.full = Lock(), False  # the two players can use it at the same time
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self.file.execute(f"PRAGMA page_size = {PAGE}")
            self.file.execute("PRAGMA journal_mode = WAL")
            self.file.execute("PRAGMA synchronous = NORMAL")
            self.file.execute(f"PRAGMA mmap_size = {2**40}")
            self.file.execute(f"PRAGMA max_page_count = {max(16, int(gigabytes * 1e9 / PAGE))}")
            self.file.execute("CREATE TABLE IF NOT EXISTS features (ids BLOB PRIMARY KEY, words BLOB NOT NULL)")
        except (OSError, sqlite3.Error) as error:
            raise self.unusable(error) from None

    def find(self, captions: Sequence[Caption]) -> dict[Caption, Float[Tensor, "_ H"]]:
        """The features of those captions that are in the cache."""
        found: dict[Caption, Tensor] = {}
        keys = {_key(caption): caption for caption in captions}
        for start in range(0, len(keys), CAPTIONS_PER_QUERY):
            wanted = list(keys)[start : start + CAPTIONS_PER_QUERY]
            marks = ", ".join("?" * len(wanted))
            with self.lock:
                try:
                    rows = self.file.execute(f"SELECT * FROM features WHERE ids IN ({marks})", wanted).fetchall()
                except sqlite3.Error as error:
                    raise self.unusable(error) from None
            for key, words in rows:
                flat = torch.from_numpy(np.frombuffer(bytearray(words), np.float32))
                found[keys[key]] = rearrange(flat, "(t h) -> t h", h=self.width)
        return found

    def add(self, features: Mapping[Caption, Float[Tensor, "_ H"]]) -> None:
        """Stores the features of captions, as long as there is room."""
        if self.full:
            return
        rows: Iterable[tuple[bytes, bytes]] = [
            (_key(caption), words.contiguous().numpy().tobytes()) for caption, words in features.items()
        ]
        with self.lock:
            try:
                self.file.execute("BEGIN IMMEDIATE")
                self.file.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", rows)
                self.file.execute("COMMIT")
            except sqlite3.OperationalError as error:  # the file or the disk is full, or another training holds a lock
                if self.file.in_transaction:
                    self.file.execute("ROLLBACK")
                self.full = True
                warnings.warn(
                    f"No more features of captions are stored in {self.path} ({error}; encoder.cache = "
                    f"{self.gigabytes:g} GB). The language model computes those of other captions every time.",
                    stacklevel=2,
                )

    def unusable(self, error: Exception) -> LimnerError:
        """The error for a file that cannot be used."""
        return LimnerError(
            f"encoder.cache: {self.path} cannot be used for features: {error}; delete it, name another folder in "
            "LIMNER_CACHE, or set encoder.cache = 0 to do without."
        )

    def __len__(self) -> int:
        with self.lock:
            return self.file.execute("SELECT count(*) FROM features").fetchone()[0]


def _key(caption: Caption) -> bytes:
    return np.asarray(caption, np.int32).tobytes()
