"""Features of captions on disk: found again by the token ids that they belong to."""

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
PAGE = 16384  # bytes; some three captions of BERT's share one
QUESTION = 500  # captions that are asked for at once


def cache_folder() -> Path:
    """Where features are kept: $LIMNER_CACHE, or else `limner` in the folder that the system has for caches."""
    if own := os.environ.get("LIMNER_CACHE"):
        return Path(own).expanduser() / "features"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "limner" / "features"


class FeatureCache:
    """Token ids -> float32 features [T, H], exactly as they were put in, in one SQLite file of bounded size.

    The file is read through a memory map, so what is asked for often costs a copy. SQLite keeps it whole when a
    training is killed, and lets several trainings use it at the same time. Full, it says so once and takes no more.
    """

    def __init__(self, path: Path, width: int, gigabytes: float):
        """
        Args:
            path: of the file, which is made where there is none.
            width: H, the width of the features.
            gigabytes: 10^9 bytes that the file may have; one that is larger already only stops growing.

        Raises:
            LimnerError: when the file cannot be made, or is none of these.
        """
        self.path, self.width, self.gigabytes = path, width, gigabytes
        self.lock, self.full = Lock(), False  # the two players may read at the same time
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
        """Those of these captions that are known, with their features."""
        found: dict[Caption, Tensor] = {}
        keys = {_key(caption): caption for caption in captions}
        for start in range(0, len(keys), QUESTION):
            asked = list(keys)[start : start + QUESTION]
            marks = ", ".join("?" * len(asked))
            with self.lock:
                try:
                    rows = self.file.execute(f"SELECT * FROM features WHERE ids IN ({marks})", asked).fetchall()
                except sqlite3.Error as error:
                    raise self.unusable(error) from None
            for key, words in rows:
                flat = torch.from_numpy(np.frombuffer(bytearray(words), np.float32))
                found[keys[key]] = rearrange(flat, "(t h) -> t h", h=self.width)
        return found

    def add(self, features: Mapping[Caption, Float[Tensor, "_ H"]]) -> None:
        """Remember the features of captions, as far as there is room."""
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
            except (
                sqlite3.OperationalError
            ) as error:  # it is full, or the disk is, or another training holds it for long
                if self.file.in_transaction:
                    self.file.execute("ROLLBACK")
                self.full = True
                warnings.warn(
                    f"No more features of captions are kept in {self.path} ({error}; encoder.cache = "
                    f"{self.gigabytes:g} GB); further captions are read by the language model every time.",
                    stacklevel=2,
                )

    def unusable(self, error: Exception) -> LimnerError:
        """What to say when the file cannot be used."""
        return LimnerError(
            f"encoder.cache: {self.path} cannot be used for features: {error}; delete it, name another folder in "
            "LIMNER_CACHE, or do without by encoder.cache = 0."
        )

    def __len__(self) -> int:
        with self.lock:
            return self.file.execute("SELECT count(*) FROM features").fetchone()[0]


def _key(caption: Caption) -> bytes:
    return np.asarray(caption, np.int32).tobytes()
