"""Losses that learn on real pairs before the first step and are then frozen; DAMSM against its equations."""

import shutil

import limner
import numpy as np
import pytest
import torch
from limner import Batch, LimnerError, TextFeatures, Tokens, hookimpl
from limner.training.state import STATE_FILE
from limner_consistency.damsm import DAMSM
from limner_consistency.word_contrast import WordContrast

STEPS = 3


@pytest.fixture
def pretrained(recipe):
    """A tiny recipe whose epoch has eight steps, with a DAMSM and a captioner that are pretrained."""
    own = {"pretrained_steps": STEPS}
    recipe["losses"] = {"hinge": {}, "damsm": own, "cycle": {"own_backbone": True, "pretrained_steps": 2}}
    recipe["training"] |= {"steps": 4, "checkpoint_every": 0.25}
    return recipe


class AtStart:
    """Keeps what a training has after its pretraining, and the state of its first checkpoint."""

    def __init__(self, folder=None):
        self.folder = folder

    @hookimpl(trylast=True)
    def limner_training_started(self, run):
        self.run, self.images = run, run.images
        self.weights = {name: value.clone() for name, value in run.networks.state_dict().items()}

    @hookimpl
    def limner_checkpoint_saved(self, folder, run):
        if self.folder and run.step == 0:
            shutil.copy(folder / STATE_FILE, self.folder)


def test_what_was_pretrained_is_frozen(pretrained, tmp_path):
    limner.train(pretrained, tmp_path / "run", callbacks=[start := AtStart()])
    run = start.run
    now = run.networks.state_dict()
    changed = {name for name in now if not torch.equal(now[name], start.weights[name])}
    frozen = ("losses.damsm.", "losses.cycle.", "conditional_discriminator.encoder.", "conditional_generator.encoder.")
    assert changed
    assert not [name for name in changed if name.startswith(frozen)]
    assert not any(weight.requires_grad for weight in run.networks.losses.parameters())
    averaged = run.model.conditional_generator.encoder.state_dict()
    assert all(
        torch.equal(averaged[name], value)
        for name, value in run.networks.conditional_generator.encoder.state_dict().items()
    )


def test_it_counts_and_is_kept_in_the_history(pretrained, tmp_path):
    model = limner.train(pretrained, tmp_path / "run", callbacks=[start := AtStart()])
    assert start.images == (STEPS + 2) * 8
    assert start.run.images == (STEPS + 2 + 4) * 8
    row = model.history[0]
    assert (row["step"], row["images"]) == (0, (STEPS + 2) * 8)
    assert {"damsm/pretraining", "cycle/pretraining"} <= row.keys()
    assert 0 < row["seconds"] <= start.run.seconds
    losses = start.run.networks.named_losses()
    assert (losses["damsm"].pretrained, losses["cycle"].pretrained) == (STEPS, 2)


def test_it_learns(pretrained):
    pretrained["losses"]["damsm"] = {"pretrained_steps": 60}
    pretrained["training"]["steps"] = 1
    model = limner.train(pretrained, callbacks=[])
    chance = 4 * np.log(8)  # four choices among eight
    assert model.history[0]["damsm/pretraining"] < 0.7 * chance


def test_the_discriminator_has_no_term_of_it(pretrained):
    model = limner.train(pretrained | {"training": pretrained["training"] | {"steps": 10}}, callbacks=[])
    names = set(model.history[-1])
    assert {"damsm/generator", "cycle/generator"} <= names
    assert not {"damsm/discriminator", "cycle/discriminator"} & names


@pytest.mark.slow
def test_a_training_that_is_resumed_before_its_first_step_has_the_same_bits(pretrained, tmp_path):
    limner.train(pretrained, tmp_path / "run", callbacks=[AtStart(tmp_path)])
    whole = limner.load(tmp_path / "run").state_dict()
    shutil.copy(tmp_path / STATE_FILE, tmp_path / "run" / STATE_FILE)
    model = limner.resume(tmp_path / "run", callbacks=[start := AtStart()])
    assert start.images == (STEPS + 2) * 8  # it was not pretrained again
    assert all(torch.equal(value, whole[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["sentence-contrast", "word-contrast", "cycle"])
def test_features_of_the_discriminator_cannot_be_pretrained(recipe, name):
    recipe["losses"][name] = {"pretrained_steps": 5}
    with pytest.raises(LimnerError, match=f"{name}.*pretrained_steps.*own_backbone = true"):
        limner.train(recipe, callbacks=[])


# --- DAMSM ------------------------------------------------------------------------------------------------------------


def test_damsm_equals_its_formula(sizes, make_step):
    torch.manual_seed(0)
    loss = DAMSM(sizes, width=6, attention=3.0, words=4.0, contrast=7.0).double()
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3, [True] * 4 + [False]])
    text = TextFeatures(torch.randn(3, 5, 16).double(), torch.randn(3, 16).double(), mask)
    confusable = torch.zeros(3, 3, dtype=torch.bool)
    confusable[0, 2] = True
    batch = Batch(torch.zeros(3, 3, 16, 16), Tokens(mask.long(), mask), torch.zeros(3).long(), ~mask[:, 0], confusable)
    step = make_step(batch=batch, text=text, real_images=[torch.randn(3, 3, 16, 16).double()])

    features = loss.real_features(step)
    weights = {name: value.detach().numpy() for name, value in loss.named_parameters()}
    cosines = np.zeros((3, 3))
    for i in range(3):
        image = weights["image.weight"] @ features[i].detach().numpy().mean((1, 2)) + weights["image.bias"]
        for j in range(3):
            caption = weights["sentence.weight"] @ text.sentence[j].numpy() + weights["sentence.bias"]
            cosines[i, j] = image @ caption / np.linalg.norm(image) / np.linalg.norm(caption)
    powers = np.exp(7.0 * cosines) * ~confusable.numpy()
    sentences = (
        sum(-np.log(powers[i, i] / powers[i].sum()) - np.log(powers[i, i] / powers[:, i].sum()) for i in range(3)) / 3
    )
    words = 2 * WordContrast.compare(loss, step, features).item()  # it has a test of its own
    assert loss.compare(step, features).item() == pytest.approx(words + sentences, rel=1e-5)
