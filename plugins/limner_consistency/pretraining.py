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
    """Trains the losses with `pretrained_steps` on real pairs, then freezes all that learned: them and the encoder.

    All of them learn on the same batches. The time and the images count for the run, and its history gets a row of
    their losses. The steps that were made are saved with the loss, so a training that is resumed does not repeat them.
    """
    named = run.networks.named_losses()
    due = {name: loss for name, loss in named.items() if isinstance(loss, ImageTextLoss) and unfinished(loss)}
    if not due:
        return
    start, encoder = time.perf_counter(), run.networks.conditional_discriminator.encoder
    modules = torch.nn.ModuleList([encoder, *due.values()])
    weights = [weight for weight in modules.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, LEARNING_RATE, betas=(0.5, 0.999))
    steps, learned, last = max(loss.pretrained_steps for loss in due.values()), {}, {}
    hidden = None if PartialState().is_main_process else True  # None: also where there is no terminal
    bar = tqdm(zip(range(steps), run.batches), "pretraining", steps, unit=" steps", disable=hidden)
    for number, batch in bar:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - number / steps)
        noise = torch.zeros(len(batch), run.networks.sizes.noise)  # nothing is generated
        step = Step(run.networks.conditional_generator, run.networks.conditional_discriminator, batch, noise)
        values = {
            f"{name}/pretraining": loss.compare(step, loss.real_features(step))
            for name, loss in due.items()
            if unfinished(loss)
        }
        gradients = torch.autograd.grad(torch.stack(list(values.values())).sum(), weights, allow_unused=True)
        for weight, gradient in zip(weights, gradients):
            weight.grad = gradient
        last |= {name: value.detach() for name, value in values.items()}
        learned |= {weight: True for weight in weights if weight.grad is not None}
        torch.nn.utils.clip_grad_norm_(learned, LONGEST)
        optimizer.step()
        for loss in due.values():
            loss.pretrained += unfinished(loss)
        run.images += len(batch)
    for weight in learned:
        weight.grad = None
        weight.requires_grad_(False)
    run.model.conditional_generator.encoder.load_state_dict(encoder.state_dict())
    run.batches.load_state_dict(run.batches.state_dict())  # the training continues in this epoch
    run.seconds += time.perf_counter() - start
    row = {name: value.item() for name, value in last.items()}
    run.model.history.append({"step": run.step, "seconds": round(run.seconds, 3), "images": run.images} | row)


def unfinished(loss):
    """Whether a loss has steps of its pretraining left."""
    return loss.pretrained < loss.pretrained_steps
