"""The two players of the game: how each finds its gradients and moves, and how both work at the same time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor, nn

FirstT = TypeVar("FirstT")
SecondT = TypeVar("SecondT")


class Player:
    """One side of the game: its weights, their gradients, and Adam (Kingma and Ba 2015) to move them.

        g <- g min(1, 2 u / |g|),      u <- u + (|g| - u) / min(n, 100)

    A gradient g more than twice as long as usual is shortened (in the spirit of Seetharaman et al. 2020,
    AutoClip); n counts the steps. One step that goes too far makes the next gradient longer, and so on: unchecked, a
    few of them undo a long training.
    A weight that has learned much already may have a number `lr_scale`: it then moves at that share of the rate.
    """

    def __init__(self, weights: list[nn.Parameter], betas: Sequence[float]):
        self.weights = weights
        scales: dict[float, list[nn.Parameter]] = {}
        for weight in weights:
            scales.setdefault(getattr(weight, "lr_scale", 1.0), []).append(weight)
        groups = [{"params": alike, "lr_scale": lr_scale} for lr_scale, alike in scales.items()]
        self.optimizer = torch.optim.Adam(groups, betas=(betas[0], betas[1]), fused=True)
        self.running_norm, self.steps = 0.0, 0  # u, the length of its gradients of late; n

    def compute_gradients(self, loss: Tensor) -> None:
        """Take the gradient of the player's loss by its own weights, and by nothing else; frozen ones get none."""
        learning = [weight for weight in self.weights if weight.requires_grad]
        for weight in self.weights:
            weight.grad = None
        if loss.requires_grad and learning:  # otherwise no loss of this player is due, or all of it is frozen
            gradients = torch.autograd.grad(loss, learning, retain_graph=True, allow_unused=True)
            for weight, gradient in zip(learning, gradients):
                weight.grad = gradient

    def step(self, rate: float) -> None:
        """Go one step along the gradients, averaged over all processes."""
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        if gradients and PartialState().num_processes > 1:
            mean = cast(Tensor, reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean"))
            for gradient, piece in zip(gradients, mean.split([gradient.numel() for gradient in gradients])):
                gradient.copy_(piece.view_as(gradient))
        self.clip(gradients)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        self.optimizer.step()

    def clip(self, gradients: Sequence[Tensor]) -> None:
        """Bring the gradients, together, to at most twice their usual length."""
        if not gradients:
            return
        length = nn.utils.get_total_norm(gradients)
        longest = 2 * (self.running_norm or length.item())
        nn.utils.clip_grads_with_norm_(self.weights, longest, length)
        self.steps += 1
        self.running_norm += (min(length.item(), longest) - self.running_norm) / min(self.steps, 100)


class PlayerThreads:
    """Two threads for the two players: on a CPU they share the cores evenly and work side by side.

    Small convolutions gain little from a second core each; two players at once gain much. The same seed gives the
    same weights, bit for bit, on as many threads: autograd's order of addition depends on the thread of each part.
    """

    def __init__(self, device: torch.device):
        self.threads = torch.get_num_threads()
        self.second: ThreadPoolExecutor | None = None
        if device.type == "cpu" and self.threads > 1:
            half = self.threads // 2
            self.second = ThreadPoolExecutor(1, "second-hand", torch.set_num_threads, (half,))

    def __enter__(self) -> "PlayerThreads":
        if self.second:
            torch.set_num_threads(self.threads // 2)
        return self

    def __exit__(self, *_: object) -> None:
        if self.second:
            self.second.shutdown()
            torch.set_num_threads(self.threads)

    def run_both(self, first: Callable[[], FirstT], second: Callable[[], SecondT]) -> tuple[FirstT, SecondT]:
        """Do both, at the same time where there are two hands; what each returns."""
        if self.second is None:
            return first(), second()
        other = self.second.submit(second)
        return first(), other.result()
