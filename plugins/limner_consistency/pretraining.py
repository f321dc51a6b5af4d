"""Pretraining: losses that compare images with captions learn on real pairs, before the first step of a training."""

import time

import torch
from accelerate import PartialState
from limner import Step
from tqdm import tqdm

from .backbone import ImageTextLoss

LEARNING_RATE, LONGEST = 2e-3, 0.25
"""Of the pretraining with Adam, and the longest gradient: both as in AttnGAN's published code."""


def pretrain(run):
    """Trains the losses with `pretrained_steps` on real pairs, one after the other, and freezes all that learned.

    A loss that reads the encoded captions trains the encoder as well; those after it find the encoder frozen. The time
    and the images count for the run, and its history gets a row of the last losses. The steps that were made are saved
    with each loss, so a training that is resumed does not repeat them.
    """
    named = run.networks.named_losses()
    due = {name: loss for name, loss in named.items() if isinstance(loss, ImageTextLoss) and not_pretrained(loss)}
    if not due:
        return
    start = time.perf_counter()
    row = {f"{name}/pretraining": pretrain_loss(run, name, loss) for name, loss in due.items()}
    run.model.conditional_generator.encoder.load_state_dict(run.networks.conditional_generator.encoder.state_dict())
    run.seconds += time.perf_counter() - start
    run.model.history.append({"step": run.step, "seconds": round(run.seconds, 3), "images": run.images} | row)


def not_pretrained(loss):
    """Whether the steps of a loss before the first step are still to be made."""
    return loss.pretrained < loss.pretrained_steps


def pretrain_loss(run, name, loss):
    """Trains one loss, and the encoder if the loss reads it. Returns its last value, a number."""
    modules, steps = torch.nn.ModuleList([run.networks.conditional_discriminator.encoder, loss]), loss.pretrained_steps
    weights, value = [weight for weight in modules.parameters() if weight.requires_grad], torch.zeros(())
    optimizer = torch.optim.Adam(weights, LEARNING_RATE, betas=(0.5, 0.999))
    hidden = None if PartialState().is_main_process else True  # None: also where there is no terminal
    bar = tqdm(zip(range(steps), run.batches), f"pretraining {name}", steps, unit=" steps", disable=hidden)
    for number, batch in bar:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - number / steps)
        noise = torch.zeros(len(batch), run.networks.sizes.noise)  # nothing is generated
        step = Step(run.networks.conditional_generator, run.networks.conditional_discriminator, batch, noise)
        value = loss.compare(step, loss.real_features(step))
        for weight, gradient in zip(weights, torch.autograd.grad(value, weights, allow_unused=True)):
            weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(weights, LONGEST)
        optimizer.step()
        loss.pretrained += 1
        run.images += len(batch)
    run.batches.load_state_dict(run.batches.state_dict())  # what follows continues in this epoch
    for weight in weights:
        weight.requires_grad_(weight.grad is None)
        weight.grad = None
    return value.item()
