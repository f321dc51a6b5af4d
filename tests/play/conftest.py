"""Models to play with: the one that comes along, and a tiny one that can do little."""

import socket

import limner
import pytest
from limner.play.studio import Studio

HOSTILE = {
    "empty": "",
    "spaces": " \n ",
    "long": "a" * 10_000,
    "many words": "a red circle " * 800,
    "script": "<script>document.title = 'run'</script>",
    "emoji": "🎨🖌️",
    "Russian": "красный круг над синим квадратом",
    "Chinese": "蓝色方块上方的红色圆圈",
    "half of an emoji": "\ud83c",
}
"""Prompts that cannot be painted."""


@pytest.fixture(scope="session")
def quickstart() -> Studio:
    """A studio with attention, a captioner and a judge."""
    return Studio(limner.load("quickstart"))


@pytest.fixture(scope="session")
def tiny(trained) -> Studio:
    """A studio with a model of random pictures, without attention."""
    return Studio(limner.load(trained))


@pytest.fixture(params=HOSTILE.values(), ids=list(HOSTILE))
def hostile(request) -> str:
    """A prompt that cannot be painted."""
    return request.param


@pytest.fixture(scope="module")
def free_port() -> int:
    """A port of this machine that nobody listens to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
