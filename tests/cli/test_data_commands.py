"""Commands that plugins provide: imported on demand, and harmless if they are broken."""

import subprocess
import sys

import pytest

HOOK = "from limner.hooks import hookimpl\n\n@hookimpl\ndef limner_data_commands():\n    return {}\n"
WORKING = """
import typer

glow = typer.Typer()


@glow.command(epilog="Example: `limner data glow`")
def shine(often: int = 1) -> None:
    '''Shines.'''
    print("glow " * often)
"""


@pytest.fixture
def provide(install):
    """Installs a plugin with one data command `glow` from the module `limner_glow_commands`."""

    def make(source: str, target: str = "limner_glow_commands:glow") -> None:
        hook = HOOK.format({"glow": target})
        install("limner-glow", "1.2", {"glow": "limner_glow"}, limner_glow=hook, limner_glow_commands=source)

    return make


def test_a_plugin_provides_a_command(command, provide):
    provide(WORKING)
    assert command("data", "glow", "--often", 2) == (0, "glow glow \n", "")
    status, out, _ = command("data", "glow", "--help")
    assert status == 0
    assert "Shines." in out
    assert "limner data glow" in out
    status, out, _ = command("data", "--help")
    assert status == 0
    assert "Shines." in out
    assert "coco" in out
    assert "data command: glow" in command("plugins")[1]


BROKEN = {
    "no module": ("", "limner_none:glow", "No module named 'limner_none'"),
    "an error": ("raise RuntimeError('out of oil')", "limner_glow_commands:glow", "RuntimeError: out of oil"),
    "an exit": ("raise SystemExit(3)", "limner_glow_commands:glow", "SystemExit: 3"),
    "no command": ("glow = print", "limner_glow_commands:glow", "must be a typer.Typer with a command, not <built-in"),
    "empty": ("import typer\nglow = typer.Typer()", "limner_glow_commands:glow", "must be a typer.Typer"),
}


@pytest.mark.parametrize(("source", "target", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_command_says_why_it_is_broken(command, provide, source, target, message):
    provide(source, target)
    status, out, err = command("data", "glow", "--root", "anything")
    assert (status, out) == (1, "")
    assert err.startswith("Error: The data command 'glow' of plugin 'glow' (limner-glow 1.2)")
    assert message in err
    assert err.count("\n") == 1
    status, out, _ = command("data", "--help")
    assert status == 0
    assert "folder" in out
    assert "limner-glow 1.2" in out
    assert command("--help")[0] == 0
    assert command("data", "folder", "--help")[0] == 0


def test_an_unknown_command_is_named(command):
    status, _, err = command("data", "glowing")
    assert status == 2
    assert "No such command 'glowing'" in err


def test_two_commands_of_one_name_are_a_clash(command, provide, install):
    provide(WORKING)
    hook = HOOK.format({"glow": "limner_glow_commands:glow"})
    install("limner-gleam", "0.1", {"gleam": "limner_gleam"}, limner_gleam=hook)
    status, _, err = command("data", "glow")
    assert (status, err.count("\n")) == (1, 1)
    assert "two plugins bring the data command 'glow': plugin 'gleam' (limner-gleam 0.1) and plugin 'glow'" in err
    assert command("data", "--help")[0] == 0


@pytest.mark.slow
def test_help_imports_neither_torch_nor_commands():
    code = """
import sys
from limner.cli import main
try:
    main()
except SystemExit:
    print(sorted({'torch', 'numpy', 'PIL', 'limner_coco'} & set(sys.modules)), file=sys.stderr)
"""
    for arguments, loaded in ((["--help"], "[]"), (["data", "--help"], "['limner_coco']")):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
        assert "Usage" in done.stdout
        assert done.stderr.strip() == loaded
