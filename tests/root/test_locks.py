import os
import subprocess
import sys
from pathlib import Path

import pytest
from limner import LimnerError
from limner.files import free_folder
from limner.locks import LOCK_FILE, claim

HOLD = "import sys; from pathlib import Path; from limner.locks import claim; held = claim(Path(sys.argv[1]))"


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", f"{HOLD}; {code}", str(folder)], capture_output=True, text=True)


def test_a_folder_has_one_holder_at_a_time(tmp_path):
    folder = tmp_path / "runs" / "a"
    with claim(folder):
        second = run("held.__enter__()", folder)
        with pytest.raises(LimnerError, match="is in use by process"), claim(folder):
            pass
        (folder / "result").touch()
    assert f"{folder} is in use by process {os.getpid()} on " in second.stderr.splitlines()[-1]
    assert [path.name for path in folder.iterdir()] == ["result"]
    with claim(folder):
        pass


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    run("held.__enter__(); import os; os._exit(9)", tmp_path)
    assert (tmp_path / LOCK_FILE).exists()
    assert free_folder(tmp_path) == tmp_path, "a lock is no content"
    with claim(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_stays_empty_is_removed_again(tmp_path):
    with claim(tmp_path / "runs" / "a"):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with (
        pytest.raises(LimnerError, match="file/a cannot be written to: Not a directory"),
        claim(tmp_path / "file" / "a"),
    ):
        pass


def test_an_unreadable_lock_is_named(tmp_path):
    (tmp_path / LOCK_FILE).write_text("?")
    with pytest.raises(LimnerError, match=f"another process, according to .*{LOCK_FILE}"), claim(tmp_path):
        pass
