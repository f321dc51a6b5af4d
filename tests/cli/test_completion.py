"""Completion, asked for as shells do it: by environment variables, in the words of each shell."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stdout, suppress

import pytest
from limner.cli import main

CODE = """
import sys
from limner.cli import main
sys.argv = ["limner"]
try:
    main()
finally:
    print(sorted({'torch', 'numpy', 'pandas'} & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture
def here(tmp_path, monkeypatch, trained):
    """A working folder with runs, a comparison, and a recipe."""
    monkeypatch.chdir(tmp_path)
    for name in ("runs/first", "runs/second", "found/runs/a-0", "runs/.hidden", "found"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / ("results.json" if name == "found" else "recipe.toml")).touch()
    (tmp_path / "quick.toml").touch()
    (tmp_path / "quiet.txt").touch()
    return tmp_path


@pytest.fixture
def complete(here, monkeypatch):
    """Completes the last word of a line, as bash would: a list of words."""

    def ask(*words: str) -> list[str]:
        split = [part for word in words for part in word.replace("=", "\0=\0").split("\0")]
        split = [*split[:-1], *([] if words[-1].endswith("=") else split[-1:])]
        monkeypatch.setenv("_LIMNER_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "\n".join(["limner", *split]))
        monkeypatch.setenv("COMP_CWORD", str(len(split)))
        said = io.StringIO()
        monkeypatch.setattr(sys, "argv", ["limner"])
        with redirect_stdout(said), suppress(SystemExit):
            main()
        return said.getvalue().split()

    return ask


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "qui"], ["quickstart", "quick.toml"]),
        (["train", "./q"], ["./quick.toml"]),
        (["paint", "r"], ["runs/first", "runs/second"]),
        (["paint", "f"], ["found/runs/a-0"]),
        (["paint", "runs/f"], ["runs/first"]),
        (["show", "./runs/s"], ["./runs/second"]),
        (["train", "--resume", "runs/"], ["runs/first", "runs/second"]),
        (["report", "f"], ["found"]),
        (["evaluate", "quickstart", "--with", "runs/s"], ["runs/second"]),
        (["evaluate", "quickstart", "--metric", "scene-j"], ["scene-judge"]),
        (["describe", "attention", ""], ["channel", "multi-head", "spatial"]),
        (["describe", "att"], ["attention"]),
        (["new-plugin", "limner-glow", "--kind", "st"], ["stage"]),
        (["train", "quickstart", "--set", "training.st"], ["training.steps=", "training.start_from="]),
        (["train", "quickstart", "--set", "encoder.name=l"], ["lstm"]),
        (["train", "quickstart", "--set", "generator.attention.name="], ["channel", "multi-head", "spatial"]),
        (["train", "quickstart", "--set", "training.steps=5", "--set", "encoder.name=m"], ["mlp"]),
        (["train", "quickstart", "--set", "training.steps=5", "--dry"], ["--dry-run"]),
        (["paint", "nowhere/"], []),
    ],
    ids=str,
)
def test_bash(complete, words, expected):
    assert complete(*words) == expected


def test_an_unreadable_folder_completes_nothing(complete, monkeypatch):
    monkeypatch.setattr("limner.cli.completion._visible", lambda folder: 1 / 0)
    assert complete("paint", "runs/") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"_LIMNER_COMPLETE": "complete_bash", "COMP_WORDS": "limner\ntrain\nquickst", "COMP_CWORD": "2"},
            "quickstart",
        ),
        ({"_LIMNER_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "limner train quickst"}, '"quickstart"'),
        (
            {
                "_LIMNER_COMPLETE": "complete_fish",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
                "_TYPER_COMPLETE_ARGS": "limner show runs/f",
            },
            "runs/first\ta run",
        ),
        (
            {
                "_LIMNER_COMPLETE": "complete_powershell",
                "_TYPER_COMPLETE_ARGS": "limner train quickstart --set encoder.name=l",
                "_TYPER_COMPLETE_WORD_TO_COMPLETE": "encoder.name=l",
            },
            "encoder.name=lstm:::",
        ),
    ],
    ids=["bash", "zsh", "fish", "PowerShell"],
)
def test_every_shell_is_answered_without_torch(here, variables, expected):
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=os.environ | variables, capture_output=True, text=True, timeout=120
    )
    assert expected in done.stdout
    assert done.stderr.strip().endswith("[]"), done.stderr
