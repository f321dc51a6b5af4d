"""What every component promises, whatever its kind; and how a broken promise is told."""

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
from limner.recipes.options import option_model
from limner.slots import Slot
from limner.types import Sizes, TextFeatures, Tokens

LENGTHS = (2, 7, 4)  # words of the captions of a batch
Values = tuple[Tensor, ...]
Build = Callable[[], nn.Module]
Apply = Callable[[Any, torch.device], Values]


class BrokenPromise(AssertionError):  # noqa: N818
    """A component does not keep what its interface promises to everybody who uses it."""


@contextmanager
def promise(component: type, text: str) -> Iterator[None]:
    """Whatever goes wrong within is told as a breach of this promise."""
    try:
        yield
    except BrokenPromise:
        raise
    except Exception as error:
        seen = str(error) if isinstance(error, (Missed, LimnerError)) else f"{type(error).__name__}: {error}"
        raise BrokenPromise(f"{component.__name__} must keep this promise: {text}. But: {seen}") from error


class Missed(Exception):  # noqa: N818
    """What was found instead of what was promised."""


def need(holds: bool | Tensor, seen: str) -> None:
    """Say what was seen where a condition does not hold."""
    if not holds:
        raise Missed(seen)


def need_same(one: Values, other: Values, seen: str, tolerance: float = 1e-5) -> None:
    """Say what was seen where values differ."""
    for left, right in zip(one, other, strict=True):
        need(left.shape == right.shape, f"{seen}: the shapes are {tuple(left.shape)} and {tuple(right.shape)}.")
        apart = float((left.float() - right.float()).abs().max()) if left.numel() else 0.0
        need(apart <= tolerance * max(1.0, float(right.float().abs().max())), f"{seen}: by {apart:.3g}.")


# --- of every component ------------------------------------------------------------------------------------------


def check_words(component: type, methods: Sequence[str], options: Mapping[str, Any]) -> None:
    """Documentation, shapes and options: what people and recipes read."""
    with promise(component, "its docstring says what it is"):
        need(bool((vars(component).get("__doc__") or "").strip()), "it has none.")
    with promise(component, "its options can be set in a recipe"):
        fields = option_model(component).model_fields
        parameters = inspect.signature(component.__init__).parameters.values()
        variable = [p.name for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        need(component.__init__ is object.__init__ or not variable or not fields, f"it takes *{variable}.")
        hints = get_type_hints(component.__init__)
        for name, field in fields.items():
            need(name in hints, f"the option '{name}' has no type.")
            if field.is_required() or field.default is None or isinstance(field.default, Slot):
                continue
            try:
                tomli_w.dumps({name: field.default})
            except TypeError:
                raise Missed(f"the default of '{name}', {field.default!r}, cannot be written in TOML.") from None
        defaults = {name: field.default for name, field in fields.items() if not field.is_required()}
        try:
            option_model(component)(**(defaults | dict(options)))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise Missed(f"the option '{name}': {first['msg']}, got {first['input']!r}.") from None
    with promise(component, "every option is explained in the docstring of the constructor or the class"):
        told = " ".join(filter(None, [component.__init__.__doc__, *(base.__doc__ for base in component.__mro__)]))
        for name in fields:
            need(f"`{name}`" in told or f"{name}:" in told, f"'{name}' is not mentioned there.")
    with promise(component, "shapes are written in the signatures"):
        for method in methods:
            function = getattr(component, method)
            for name, hint in get_type_hints(function).items():
                need(hint is not Tensor, f"'{name}' of {method} is a bare Tensor; write Float[Tensor, \"B C H W\"].")
            untyped = [n for n, p in inspect.signature(function).parameters.items() if p.annotation is p.empty]
            need(untyped in ([], ["self"]), f"{method} has no types for {', '.join(untyped[1:])}.")


# --- of every network --------------------------------------------------------------------------------------------


def check_network(component: type, build: Build, apply: Apply) -> None:
    """Seeds, copies, files, devices and precisions. `apply` puts fixed inputs through a network on a device."""
    cpu = torch.device("cpu")
    with promise(component, "it can be built, and takes what its interface says"):
        network = seeded(build)
        with torch.no_grad():
            values = apply(network, cpu)
    with promise(component, "what comes out is finite"):
        need(all(value.isfinite().all() for value in values), "there are values that are not.")
    with promise(component, "the same seed gives the same weights"):
        again = seeded(build)
        for name, weight in network.state_dict().items():
            need(torch.equal(weight, again.state_dict()[name]), f"'{name}' differs.")
    with promise(component, "the same input gives the same output"), torch.no_grad():
        network.eval()
        need_same(apply(network, cpu), apply(network, cpu), "two passes differ")
    with promise(component, "a copy computes the same, as the average of the weights is one"), torch.no_grad():
        need_same(apply(deepcopy(network), cpu), apply(network, cpu), "the copy differs")
    with promise(component, "saved and loaded, it computes the same"), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(1)
        other = build().eval()
        if network.state_dict():
            save_model(network, str(Path(folder) / "weights.safetensors"))
            load_model(other, str(Path(folder) / "weights.safetensors"))
        with torch.no_grad():
            need_same(apply(other, cpu), apply(network, cpu), "what was loaded differs: is something no buffer?")
    with promise(component, "it can be built without memory, so that recipes are tried before any work"):
        with torch.device("meta"):
            built = build()
        need(all(weight.is_meta for weight in built.parameters()), "there are weights on another device.")
    with promise(component, "it computes in bfloat16 under autocast"), torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            rough = apply(network, cpu)
        need(all(value.isfinite().all() for value in rough), "there are values that are not finite.")
        for value, exact in zip(rough, apply(network, cpu), strict=True):
            need(value.shape == exact.shape, "the shapes are others.")
    if torch.cuda.is_available():
        with promise(component, "it computes on a GPU"), torch.no_grad():
            there = deepcopy(network).cuda()
            for value in apply(there, torch.device("cuda")):
                need(value.is_cuda and value.isfinite().all(), "something stays behind, or is not finite.")


def check_gradients(component: type, network: nn.Module, value: Callable[[Any], Tensor]) -> None:
    """Gradients reach every weight that is to learn. `value` is a number that everything in the network moves.

    The weights are perturbed at first: those that begin at zero would hold others back for the first step.
    """
    with promise(component, "gradients reach every one of its weights"):
        perturbed = perturb(network)
        starving = without_gradient(perturbed, value(perturbed))
        need(not starving, f"none reaches {', '.join(starving[:3])}.")


def perturb(network: nn.Module) -> nn.Module:
    """A copy of a network with something added to every weight."""
    perturbed, source = deepcopy(network).train(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in perturbed.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=source))
    return perturbed


def without_gradient(network: nn.Module, value: Tensor) -> list[str]:
    """Names of the weights that get no gradient from a number, nothing but zeros, or one that is not finite."""
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


def mixed(values: Values) -> Tensor:
    """A number that depends on every value, each in its own way."""
    source = torch.Generator().manual_seed(2)
    return torch.stack([(value.float() * torch.randn(value.shape, generator=source)).sum() for value in values]).sum()


# --- captions ----------------------------------------------------------------------------------------------------


def captions(sizes: Sizes, lengths: Sequence[int] = LENGTHS, width: int = 0, seed: int = 0) -> TextFeatures:
    """Encoded captions of these lengths; what stands at padding is large, so that only the mask keeps it out."""
    width = width or max(lengths)
    words = torch.full((len(lengths), width, sizes.text), 50.0)
    for row, length in enumerate(lengths):
        words[row, :length] = torch.randn(length, sizes.text, generator=torch.Generator().manual_seed(seed + row))
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    sentence = torch.stack([words[row, :length].mean(0) for row, length in enumerate(lengths)])
    return TextFeatures(words, sentence, mask)


def tokens(sizes: Sizes, lengths: Sequence[int] = LENGTHS, width: int = 0, padding: int = 0) -> Tokens:
    """Captions as token ids; `padding` is the id that stands behind their ends."""
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
    """Numbers from N(0, 1), from a seed of their own."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
