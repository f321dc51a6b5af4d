"""The lock of the store of prepared images on Windows, where it is waited for ten seconds at a time."""

import errno
import sys
from types import SimpleNamespace

import pytest
from limner_coco.store import _locked


def lock_of_windows(monkeypatch, *problems):
    """Let the lock be that of Windows, which fails with these errors and is then held. Returns what is asked of it."""
    waiting, asked = list(problems), []

    def locking(_, mode, count):
        asked.append((mode, count))
        if waiting:
            raise OSError(waiting.pop(0), "Resource deadlock avoided")

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_LOCK=1))
    return asked


def test_a_lock_is_waited_for_as_long_as_another_process_has_it(tmp_path, monkeypatch):
    asked = lock_of_windows(monkeypatch, errno.EDEADLK, errno.EDEADLK)
    with _locked(tmp_path / "all.lock"):
        assert asked == [(1, 1)] * 3


def test_another_problem_of_a_lock_is_told(tmp_path, monkeypatch):
    lock_of_windows(monkeypatch, errno.EINVAL)
    with pytest.raises(OSError, match="Resource deadlock"), _locked(tmp_path / "all.lock"):
        pass
