"""The files of a folder without what systems leave there, free folders, and files that are replaced in one step."""

from pathlib import Path

import pytest
from limner import LimnerError, files, visible_files
from limner.files import free_folder, replace_file


def test_the_files_of_a_folder_in_order(tmp_path):
    for name in ("b.txt", "a.txt", "deep/c.txt", "deep/.hidden/d.txt", "__MACOSX/e.txt", ".f.txt", "Thumbs.db", "g~"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link.txt").symlink_to("a.txt")
    (tmp_path / "nowhere.txt").symlink_to("nowhere")
    assert [path.name for path in visible_files(tmp_path)] == ["a.txt", "b.txt", "link.txt"]
    deep = [path.relative_to(tmp_path).as_posix() for path in visible_files(tmp_path, deep=True)]
    assert deep == ["a.txt", "b.txt", "deep/c.txt", "link.txt"]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path):
    with pytest.raises(LimnerError, match=r"none cannot be listed: .*; allow it"):
        visible_files(tmp_path / "none")


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini"])
def test_a_folder_with_files_of_the_system_is_free(tmp_path, name):
    (tmp_path / name).write_text("")
    assert free_folder(tmp_path) == tmp_path
    (tmp_path / "mine").write_text("")
    with pytest.raises(LimnerError, match="is not an empty folder"):
        free_folder(tmp_path)


def test_replacing_a_file_follows_no_link(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "it.partial").symlink_to("victim")
    replace_file(tmp_path / "it", b"new")
    assert (tmp_path / "it").read_bytes() == b"new"
    assert (tmp_path / "victim").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it", "victim"]


def test_a_file_is_replaced_as_soon_as_nobody_reads_it(tmp_path, monkeypatch):
    """As on Windows, which refuses that as long as another program has the file open."""
    replace, tries = Path.replace, []

    def refuse(self, target):
        tries.append(target)
        if len(tries) < 3:
            raise PermissionError(13, "Access is denied")
        return replace(self, target)

    monkeypatch.setattr(files, "PAUSES", (0, 0, 0))
    monkeypatch.setattr(Path, "replace", refuse)
    replace_file(tmp_path / "it", b"new")
    assert (tmp_path / "it").read_bytes() == b"new"
    assert len(tries) == 3


def test_a_file_that_stays_in_use_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(files, "PAUSES", (0, 0))
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(LimnerError, match="it cannot be written: Access is denied"):
        replace_file(tmp_path / "it", b"new")
    assert list(tmp_path.iterdir()) == []
