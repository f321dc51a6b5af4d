"""Networks without memory, on torch's meta device: their shapes can be checked before any work."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

IN_PLACE = {Tensor.normal_, *(vars(init)[name] for name in dir(init) if re.fullmatch("[a-z]\\w*_", name))}
"""They draw the first values of a tensor."""
SCALING = {Tensor.mul, Tensor.__mul__, Tensor.__rmul__, Tensor.div, Tensor.__truediv__}
"""Of a tensor of floats and a number, they change nothing but values."""


@contextmanager
def without_memory() -> Iterator[None]:
    """Tensors that are made in the `with` block have shapes, but neither memory nor values."""
    with torch.device("meta"), _NoFirstValues():
        yield


class _NoFirstValues(TorchFunctionMode):
    """Leaves out drawing and scaling first values. It has no effect there, but makes torch import its compiler."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        first, *others = args or kwargs.values() or (None,)
        if isinstance(first, Tensor) and first.is_meta:
            scaled = first.is_floating_point() and all(isinstance(other, int | float) for other in others)
            if func in IN_PLACE or (func in SCALING and scaled):
                return first
        if func is torch.randn and not kwargs:
            return torch.empty(*args)
        return func(*args, **kwargs)
