"""Hints can be pasted into the shell of the system they are shown on."""

import os
import shlex
from subprocess import list2cmdline

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limner.shell import shell_join, shell_quote


@pytest.mark.skipif(os.name == "nt", reason="a shell of Windows")
@given(st.lists(st.text()))
def test_a_posix_shell_reads_back_every_argument(words):
    assert shlex.split(shell_join(words)) == words


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("scenes-32", "scenes-32"),
        (r"C:\runs\first", r"C:\runs\first"),
        ("my runs", '"my runs"'),
        ("a;b", '"a;b"'),
        ("", '""'),
        ('data={root="nlvr"}', r'"data={root=\"nlvr\"}"'),
    ],
)
def test_windows_gets_double_quotes(monkeypatch, word, written):
    monkeypatch.setattr(os, "name", "nt")
    assert shell_quote(word) == written


@given(st.text(alphabet=' ab\\"', min_size=1).filter(lambda word: " " in word))
def test_windows_reads_back_every_argument(word):
    """Python's own function for Windows agrees, where it quotes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "name", "nt")
        assert shell_quote(word) == list2cmdline([word])
