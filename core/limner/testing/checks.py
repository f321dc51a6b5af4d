"""What every component promises, whatever its kind, and how a broken promise is reported."""

import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, get_type_hints

import tomli_w
import torch
from pydantic import ValidationError
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from limner.errors import LimnerError
from limner.meta import without_memory
from limner.recipes.options import option_model
from limner.slots import Slot
from limner.types import Sizes, TextFeatures, Tokens

CPU = torch.device("cpu")
LENGTHS = (2, 7, 4)  # words in each caption of a batch
Values = tuple[Tensor, ...]
Build = Callable[[], nn.Module]
Apply = Callable[[Any, torch.device], Values]


class BrokenPromise(AssertionError):  # noqa: N818
    """A component breaks a promise of its interface. The message names the promise, and what was found instead."""


class Violation(Exception):  # noqa: N818
    """What was found instead of what was promised."""


@contextmanager
def promise(component: type, text: str) -> Iterator[None]:
    """Report any error in the `with` block as a breach of this promise."""
    try:
        yield
    except BrokenPromise:
        raise
    except Exception as error:
        found = str(error) if isinstance(error, (Violation, LimnerError)) else f"{type(error).__name__}: {error}"
        raise BrokenPromise(f"{component.__name__} must keep this promise: {text}. But: {found}") from error


def require(holds: bool | Tensor, found: str) -> None:
    """Raise `Violation` with this text unless a condition holds."""
    if not holds:
        raise Violation(found)


def require_same(one: Values, other: Values, found: str, tolerance: float = 1e-5) -> None:
    """Raise `Violation` with this text unless all values are the same, up to a relative tolerance."""
    for left, right in zip(one, other, strict=True):
        require(left.shape == right.shape, f"{found}: the shapes are {tuple(left.shape)} and {tuple(right.shape)}.")
        apart = float((left.float() - right.float()).abs().max()) if left.numel() else 0.0
        require(apart <= tolerance * max(1.0, float(right.float().abs().max())), f"{found}: by {apart:.3g}.")


# --- every component ---------------------------------------------------------------------------------------------


def check_description(component: type, methods: Sequence[str], options: Mapping[str, Any]) -> None:
    """What people and recipes read: docstrings, options, and the shapes in the signatures of `methods`."""
    with promise(component, "it has a docstring"):
        require(bool((vars(component).get("__doc__") or "").strip()), "there is none.")
    with promise(component, "its options can be set in a recipe"):
        _check_options(component, options)
    with promise(component, "every option is explained in the docstring of the constructor or the class"):
        docs = " ".join(filter(None, [component.__init__.__doc__, *(base.__doc__ for base in component.__mro__)]))
        for name in option_model(component).model_fields:
            require(f"`{name}`" in docs or f"{name}:" in docs, f"'{name}' is not mentioned there.")
    with promise(component, "its signatures give the shapes"):
        for method in methods:
            function = getattr(component, method)
            for name, hint in get_type_hints(function).items():
                require(hint is not Tensor, f"'{name}' of {method} is a bare Tensor; write Float[Tensor, \"B C H W\"].")
            untyped = [n for n, p in inspect.signature(function).parameters.items() if p.annotation is p.empty]
            require(untyped in ([], ["self"]), f"{method} has no types for {', '.join(untyped[1:])}.")


def _check_options(component: type, options: Mapping[str, Any]) -> None:
    """Options have types, defaults of these types, and defaults that can be written in TOML."""
    fields = option_model(component).model_fields
    parameters = inspect.signature(component.__init__).parameters.values()
    variable = [p.name for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    require(component.__init__ is object.__init__ or not variable or not fields, f"it takes *{variable}.")
    hints = get_type_hints(component.__init__)
    for name, field in fields.items():
        require(name in hints, f"the option '{name}' has no type.")
        if field.is_required() or field.default is None or isinstance(field.default, Slot):
            continue
        try:
            tomli_w.dumps({name: field.default})
        except TypeError:
            raise Violation(f"the default of '{name}', {field.default!r}, cannot be written in TOML.") from None
    defaults = {name: field.default for name, field in fields.items() if not field.is_required()}
    try:
        option_model(component)(**(defaults | dict(options)))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise Violation(f"the option '{name}': {first['msg']}, got {first['input']!r}.") from None


# --- every network -----------------------------------------------------------------------------------------------


def check_network(component: type, build: Build, apply: Apply) -> Any:
    """Seeds, copies, files, devices and precisions.

    Args:
        component: the class.
        build: makes a new network.
        apply: passes fixed inputs through a network on a device.

    Returns:
        A network built from seed 0, in training mode.
    """
    with promise(component, "it can be built, and accepts the inputs of its interface"):
        network = seeded(build)
        with torch.no_grad():
            values = apply(network, CPU)
    with promise(component, "its output is finite"):
        require(all(value.isfinite().all() for value in values), "there are values that are not.")
    with promise(component, "the same seed gives the same weights"):
        one, again = seeded(build), seeded(build)  # both unused: a normalization counts what passes through it
        for name, weight in one.state_dict().items():
            require(torch.equal(weight, again.state_dict()[name]), f"'{name}' differs.")
    network.eval()
    with promise(component, "the same input gives the same output"), torch.no_grad():
        require_same(apply(network, CPU), apply(network, CPU), "two passes differ")
    with promise(component, "a copy computes the same; the moving average of the weights is one"), torch.no_grad():
        require_same(apply(deepcopy(network), CPU), apply(network, CPU), "the copy differs")
    _check_saving(component, network, build, apply)
    _check_devices(component, network, build, apply)
    return seeded(build)


def _check_saving(component: type, network: nn.Module, build: Build, apply: Apply) -> None:
    with promise(component, "saved and loaded, it computes the same"), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(1)
        other = build().eval()
        if network.state_dict():
            save_model(network, str(Path(folder) / "weights.safetensors"))
            load_model(other, str(Path(folder) / "weights.safetensors"))
        with torch.no_grad():
            require_same(
                apply(other, CPU), apply(network, CPU), "the loaded network differs; are all constant tensors buffers?"
            )


def _check_devices(component: type, network: nn.Module, build: Build, apply: Apply) -> None:
    with promise(component, "it can be built without memory, so that recipes are checked before any work"):
        with without_memory():
            built = build()
        require(all(weight.is_meta for weight in built.parameters()), "there are weights on another device.")
    with promise(component, "it computes in bfloat16 under autocast"), torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            rough = apply(network, CPU)
        require(all(value.isfinite().all() for value in rough), "there are values that are not finite.")
        for value, exact in zip(rough, apply(network, CPU), strict=True):
            require(value.shape == exact.shape, "the shapes differ from those in float32.")
    if torch.cuda.is_available():
        with promise(component, "it computes on a GPU"), torch.no_grad():
            for value in apply(deepcopy(network).cuda(), torch.device("cuda")):
                require(value.is_cuda and value.isfinite().all(), "a value is on the CPU, or not finite.")


def check_gradients(component: type, network: nn.Module, apply: Apply) -> None:
    """Gradients reach every weight that is trained.

    The weights are perturbed first: weights that start at zero would hold others back in the first step.
    """
    with promise(component, "gradients reach every one of its weights"):
        perturbed = perturb(network)
        missing = without_gradient(perturbed, weighted_sum(apply(perturbed, CPU)))
        require(not missing, f"none reaches {', '.join(missing[:3])}.")


def perturb(network: nn.Module) -> Any:
    """A copy of a network, in training mode, with a random number added to every weight."""
    perturbed, source = deepcopy(network).train(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in perturbed.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=source))
    return perturbed


def without_gradient(network: nn.Module, value: Tensor) -> list[str]:
    """Names of the weights whose gradient of `value` is missing, zero everywhere, or not finite."""
    named = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    if not named:
        return []
    gradients = torch.autograd.grad(value, [weight for _, weight in named], retain_graph=True, allow_unused=True)
    return [
        name
        for (name, _), gradient in zip(named, gradients)
        if gradient is None or not gradient.isfinite().all() or not gradient.abs().sum() > 0
    ]


def seeded(build: Build) -> Any:
    """A network built from seed 0."""
    torch.manual_seed(0)
    return build()


# --- inputs ------------------------------------------------------------------------------------------------------


def weighted_sum(values: Values) -> Tensor:
    """The sum of all values with random weights: a number that depends on each of them in another way."""
    source = torch.Generator().manual_seed(2)
    return torch.stack([(value.float() * torch.randn(value.shape, generator=source)).sum() for value in values]).sum()


def captions(sizes: Sizes, lengths: Sequence[int] = LENGTHS, width: int = 0, seed: int = 0) -> TextFeatures:
    """Encoded captions of these lengths. The words at padding are large, so that forgetting the mask is noticed."""
    width = width or max(lengths)
    words = torch.full((len(lengths), width, sizes.text), 50.0)
    for row, length in enumerate(lengths):
        words[row, :length] = torch.randn(length, sizes.text, generator=torch.Generator().manual_seed(seed + row))
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    sentence = torch.stack([words[row, :length].mean(0) for row, length in enumerate(lengths)])
    return TextFeatures(words, sentence, mask)


def tokens(sizes: Sizes, lengths: Sequence[int] = LENGTHS, width: int = 0, padding: int = 0) -> Tokens:
    """Captions of these lengths as token ids; `padding` is the id after their ends."""
    width = width or max(lengths)
    ids = torch.full((len(lengths), width), padding)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(
            1, sizes.vocabulary, (length,), generator=torch.Generator().manual_seed(10 + row)
        )
    return Tokens(ids, torch.arange(width) < torch.tensor(lengths)[:, None])


def moved(text: TextFeatures, device: torch.device) -> TextFeatures:
    """The same captions on another device."""
    return TextFeatures(text.words.to(device), text.sentence.to(device), text.mask.to(device))


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Numbers from N(0, 1), drawn from this seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
