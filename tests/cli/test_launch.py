"""Signals that the command which starts several processes passes on to them."""

import signal
import subprocess

import pytest
from limner.cli import launch


class Worker(subprocess.Popen):
    """A process that notes what it is sent."""

    def __init__(self):
        self.sent = []

    def send_signal(self, sig):
        self.sent.append(sig)

    def kill(self):
        pass


@pytest.mark.parametrize(("groups", "sent"), [(True, [signal.SIGINT, signal.SIGTERM]), (False, [signal.SIGTERM])])
def test_ctrl_c_is_passed_on_only_where_it_does_not_reach_all(monkeypatch, groups, sent):
    """On Windows it reaches all, and sending it raises an error there."""
    monkeypatch.setattr(launch, "GROUPS", groups)
    worker = Worker()
    with launch._passing_signals_on([worker]):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert worker.sent == sent
