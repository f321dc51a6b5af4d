"""Steps captured as CUDA graphs: a GPU computes them without waiting for Python."""

import traceback
import warnings
from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch
from accelerate import PartialState
from jaxtyping import Float
from torch import Tensor

from limner.errors import LimnerError
from limner.recipes.build import is_own, own_modules
from limner.training.loss_values import LossValues
from limner.types import Batch

if TYPE_CHECKING:
    from limner.training.run import Run

Compute = Callable[[Batch, Tensor], tuple[tuple[str, ...], Float[Tensor, " L"]]]
"""Makes one whole step, weights included, from a batch and its noise. Returns the names and values of the losses."""
PLAIN = (bool, int, float, str, tuple, type(None))
LONGEST_WAIT = 200
"""Steps after which a training that could not capture anything says why."""


class CapturedStep:
    """Makes a step, and on a GPU records it: the first step of a kind runs as usual, the second is captured, and all
    others replay it.

    A step of a small model launches more than a thousand kernels. Each is done in a few microseconds, faster than
    Python launches the next, so that the GPU waits most of the time. A CUDA graph launches all of them at once.

    A replay repeats the same operations on the same memory; it does not run any Python code. So steps are of one kind
    only if Python would do the same in both: the same losses are due, the same weights are trained, the shapes are
    equal, and no component has changed one of its plain attributes, such as how many stages have joined.
    """

    def __init__(self, run: "Run", compute: Compute, optimizers: list[torch.optim.Optimizer]):
        """
        Args:
            run: the training.
            compute: makes a step.
            optimizers: of the players.

        Raises:
            LimnerError: if the recipe demands capture where there is no CUDA.
        """
        self.run, self.compute, self.optimizers = run, compute, optimizers
        self.wanted, device = run.recipe.training.capture, run.batches.device
        if self.wanted is True and device.type != "cuda":
            raise LimnerError(
                f"training.capture: CUDA graphs need an NVIDIA GPU, and this training runs on the {device.type}; "
                'use training.capture = "auto".'
            )
        single = PartialState().num_processes == 1
        self.enabled = self.wanted is not False and device.type == "cuda" and single
        self.graphs: dict[Hashable, tuple[torch.cuda.CUDAGraph, tuple[str, ...], Tensor]] = {}
        self.seen: set[Hashable] = set()
        self.inputs: tuple[Batch, Tensor] | None = None
        self.last: Any = ()
        if self.enabled:
            run.batches.fixed_length = True
            for group in (group for optimizer in optimizers for group in optimizer.param_groups):
                group["lr"] = torch.tensor(float(group["lr"]), device=device)  # so that a replay reads the new one

    def __call__(self, batch: Batch, noise: Tensor) -> LossValues:
        """Make one step."""
        if not self.enabled:
            return LossValues(*self.compute(batch, noise))
        kind = self.kind_of_step(batch)
        if kind in self.graphs:
            return self.replay(kind, batch, noise)
        if kind in self.seen and self.capture(kind, batch, noise):
            return self.replay(kind, batch, noise)
        if len(self.seen) == LONGEST_WAIT and not self.graphs:
            self.give_up(f"no two steps are of one kind, because {self.difference(kind)} changes from step to step")
        self.seen.add(kind)
        self.last = kind
        return LossValues(*self.compute(batch, noise))

    def kind_of_step(self, batch: Batch) -> Hashable:
        """Everything that decides which operations a step consists of."""
        networks = self.run.networks
        due = tuple(self.run.step % loss.every == 0 for loss in networks.named_losses().values())
        trained = tuple(weight.requires_grad for weight in networks.parameters())
        shapes = tuple(tensor.shape for tensor in tensors_of(batch))
        return due, trained, shapes, tuple(self.plain_attributes())

    def plain_attributes(self) -> Iterator[tuple[str, str, Any]]:
        """The plain attributes of all components, and of the optimizers and what they remember."""
        for place, module in own_modules(self.run.networks):
            yield from ((place, name, value) for name, value in vars(module).items() if isinstance(value, PLAIN))
        for optimizer in self.optimizers:
            tables = [vars(optimizer), *optimizer.param_groups, *optimizer.state.values()]
            for name, value in ((name, value) for table in tables for name, value in table.items()):
                if isinstance(value, PLAIN):
                    yield "training.optimizer", str(name), value

    def difference(self, kind: Any) -> str:
        """The attribute in which a step differs from the one before, with its component."""
        for now, before in zip(kind[-1], self.last[-1]):
            if now != before:
                return f"'{now[1]}' of {now[0] or 'the networks'}"
        return "something"

    def capture(self, kind: Hashable, batch: Batch, noise: Tensor) -> bool:
        """Record a step, without making it. Returns whether that was possible."""
        self.load(batch, noise)
        assert self.inputs is not None
        graph, pool = torch.cuda.CUDAGraph(), next((graph.pool() for graph, _, _ in self.graphs.values()), None)
        try:
            with torch.cuda.graph(graph, pool=pool):
                names, values = self.compute(*self.inputs)
        except (RuntimeError, NotImplementedError) as error:
            self.give_up(f"{self.component(error)} waits for the GPU or cannot be recorded")
            return False
        self.graphs[kind] = graph, names, values
        return True

    def replay(self, kind: Hashable, batch: Batch, noise: Tensor) -> LossValues:
        """Make a step that was recorded before, with this batch."""
        self.load(batch, noise)
        graph, names, values = self.graphs[kind]
        graph.replay()
        return LossValues(names, values)

    def load(self, batch: Batch, noise: Tensor) -> None:
        """Copy a batch to where the graphs read it."""
        if self.inputs is None:
            self.inputs = batch, noise
        else:
            torch._foreach_copy_(tensors_of(self.inputs), tensors_of((batch, noise)))  # pyright: ignore[reportPrivateImportUsage]

    def give_up(self, cause: str) -> None:
        """Go on without graphs, and say why.

        Raises:
            LimnerError: if the recipe demands capture.
        """
        if self.wanted is True:
            raise LimnerError(f'training.capture: {cause}; use training.capture = "auto".')
        warnings.warn(f"The training steps are not captured as CUDA graphs: {cause}.", stacklevel=4)
        self.enabled = False
        self.graphs.clear()

    def component(self, error: BaseException) -> str:
        """The component in whose code an error arose."""
        places = {id(module): place for place, module in self.run.networks.named_modules()}
        found, cause = "an operation of the step", error
        while cause is not None:  # ending the recording may raise another error, after that of the component
            for frame, line in traceback.walk_tb(cause.__traceback__):
                module = frame.f_locals.get("self")
                if is_own(module):
                    found = f"{type(module).__name__} ({places.get(id(module), 'a component')}, line {line})"
            cause = cause.__context__
        return found


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors in a batch, in a fixed order."""
    if isinstance(value, Tensor):
        return [value]
    if is_dataclass(value):
        value = [getattr(value, field.name) for field in fields(value)]
    return [tensor for part in value for tensor in tensors_of(part)] if isinstance(value, (list, tuple)) else []
