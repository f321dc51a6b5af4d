"""A player: its weights, their gradients, and the optimizer that updates them."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor, nn

from limner.recipes.options import Resolved


def adam(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015), for recipes that name no optimizer."""
    on_gpu = groups[0]["params"][0].is_cuda
    return torch.optim.Adam(groups, betas=(0.0, 0.99), fused=True, capturable=on_gpu)


class Player:
    """The generator or the discriminator as an opponent: its weights, their gradients, and its optimizer.

        g <- g min(1, 2 u / |g|),      u <- u + (|g| - u) / min(n, 100)

    A gradient whose norm |g| is more than twice the running norm u is clipped (similar to AutoClip, Seetharaman et al.
    2020); n counts the steps. One step that is too large makes the next gradient larger, and so on. Without
    clipping, a few such steps can destroy a long training.

    A weight may have an attribute `lr_scale`: its learning rate is multiplied by it (used for pretrained weights).
    """

    def __init__(self, weights: list[nn.Parameter], optimizer: Resolved | None = None):
        """`weights`: of the player; `optimizer`: that of the recipe, ready to be built; by default Adam."""
        self.weights = weights
        scales: dict[float, list[nn.Parameter]] = {}
        for weight in weights:
            scales.setdefault(getattr(weight, "lr_scale", 1.0), []).append(weight)
        groups = [{"params": alike, "lr_scale": scale} for scale, alike in scales.items()]
        self.optimizer: torch.optim.Optimizer = optimizer.build(groups) if optimizer else adam(groups)
        device = weights[0].device
        self.running_norm, self.steps = torch.zeros((), device=device), torch.zeros((), device=device)  # u, n

    def compute_gradients(self, loss: Tensor) -> None:
        """The gradient of the player's loss with respect to its own weights only. Frozen weights get none."""
        trainable = [weight for weight in self.weights if weight.requires_grad]
        for weight in self.weights:
            weight.grad = None
        if loss.requires_grad and trainable:  # otherwise no loss of this player is due, or all of it is frozen
            gradients = torch.autograd.grad(loss, trainable, retain_graph=True, allow_unused=True)
            for weight, gradient in zip(trainable, gradients):
                weight.grad = gradient

    @property
    def gradients(self) -> list[Tensor]:
        """The gradients of the weights that have one."""
        return [weight.grad for weight in self.weights if weight.grad is not None]

    def average_gradients(self) -> None:
        """Average the gradients over all processes.

        Both players must do this in the same order everywhere, so not in threads of their own.
        """
        gradients = self.gradients
        if gradients and PartialState().num_processes > 1:
            mean = cast(Tensor, reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean"))
            for gradient, piece in zip(gradients, mean.split([gradient.numel() for gradient in gradients])):
                gradient.copy_(piece.view_as(gradient))

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            scaled = lr * group["lr_scale"]
            if isinstance(group["lr"], Tensor):  # a captured step reads this tensor
                group["lr"].fill_(scaled)
            else:
                group["lr"] = scaled

    def state_dict(self) -> dict[str, Any]:
        """Everything that later steps depend on, apart from the weights."""
        remembered = self.optimizer.state_dict()
        on_gpu = self.running_norm.is_cuda
        return {
            "running_norm": self.running_norm,
            "steps": self.steps,
            "frozen": [not weight.requires_grad for weight in self.weights],
            "optimizer": remembered,
            "on_cpu": [  # although the weights are on a GPU
                [place, name]
                for place, values in remembered["state"].items()
                for name, value in values.items()
                if on_gpu and isinstance(value, Tensor) and not value.is_cuda
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, exactly."""
        self.running_norm.copy_(state["running_norm"])
        self.steps.copy_(state["steps"])
        for weight, frozen in zip(self.weights, state["frozen"], strict=True):
            weight.requires_grad_(not frozen)
        self.optimizer.load_state_dict(state["optimizer"])
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        for place, values in state["optimizer"]["state"].items():  # torch gave all tensors the type of their weight
            for name, value in values.items():
                if isinstance(value, Tensor):
                    device = "cpu" if [place, name] in state["on_cpu"] else weights[place].device
                    self.optimizer.state[weights[place]][name] = value.to(device, copy=True)

    def step(self) -> None:
        """Clip the gradients and update the weights."""
        self.clip(self.gradients)
        self.optimizer.step()

    def clip(self, gradients: list[Tensor]) -> None:
        """Scale the gradients, together, to at most twice their running norm, and update that norm."""
        if not gradients:
            return
        norm = torch.stack(torch._foreach_norm(gradients)).norm()  # pyright: ignore[reportPrivateImportUsage]
        longest = 2 * torch.where(self.running_norm > 0, self.running_norm, norm)
        torch._foreach_mul_(gradients, (longest / (norm + 1e-6)).clamp(max=1))  # pyright: ignore[reportPrivateImportUsage]
        self.steps += 1
        self.running_norm += (torch.minimum(norm, longest) - self.running_norm) / self.steps.clamp(max=100)
