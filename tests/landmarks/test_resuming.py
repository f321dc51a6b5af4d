"""A staged model is resumed exactly: batch normalization, stages that join, what was pretrained and frozen."""

import shutil

import limner
import pytest
import torch
from limner import hookimpl
from limner.training.state import STATE_FILE

FEW = ["data.count=32", "training.batch_size=4", "training.steps=6", "training.precision='float32'"]
SHORT = {"stackgan": "losses.sentence-contrast.pretrained_steps=2", "dm-gan": "losses.damsm.pretrained_steps=2"}


class CopyState:
    """Keeps the state of the training after a step."""

    def __init__(self, step, folder):
        self.step, self.folder = step, folder

    @hookimpl
    def limner_checkpoint_saved(self, folder, run):
        if run.step == self.step:
            shutil.copy(folder / STATE_FILE, self.folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("step", [2, 4])  # before and after the second stage of StackGAN joins
def test_it_continues_with_the_same_bits(name, step, tmp_path):
    settings = [*FEW, SHORT[name], "training.checkpoint_every=0.1"]
    run = tmp_path / "run"
    model = limner.train(name, run, settings, callbacks=[CopyState(step, tmp_path)])
    shutil.copy(tmp_path / STATE_FILE, run)
    again = limner.resume(run, callbacks=[]).state_dict()
    assert all(torch.equal(value, again[place]) for place, value in model.state_dict().items())
