"""The slots of a generator, which a recipe fills with attention modules or stages."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from torch import nn

from limner.errors import LimnerError
from limner.interfaces import Attention, Stage
from limner.types import Sizes

PartT = TypeVar("PartT", Attention, Stage)


class Slot(Generic[PartT]):
    """The components that a recipe puts into a slot of a generator: which ones, where, and with which options.

    In a recipe: `attention = "multi-head"`, `attention = {name = "multi-head", at = [8, 16], heads = 4}`, or a list
    of these; `"none"` leaves the slot empty. A generator calls `slot.build` at each of its resolutions to get its
    attention modules, and `slot.stack` to get its stages.
    """

    def __init__(self, entries: Sequence[tuple[type[PartT], Sequence[int] | None, dict[str, Any]]] = ()):
        """`entries`: component class, resolutions (None for all of them), options."""
        self.entries = tuple(entries)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def build(self: "Slot[Attention]", sizes: Sizes, channels: int, size: int) -> "nn.ModuleList":
        """The attention modules at resolution `size`, for a feature map with `channels` channels."""
        return nn.ModuleList(
            part(sizes, channels, **options) for part, at, options in self.entries if at is None or size in at
        )

    def stack(self: "Slot[Stage]", sizes: Sizes) -> "list[Stage]":
        """The stages, each built on the one before."""
        stages: list[Stage] = []
        for part, at, options in self.entries:
            if at is not None:
                raise LimnerError(f"at: a stage follows the one before it and takes no resolution; got {list(at)}.")
            stages.append(part(sizes, stages[-1] if stages else None, **options))
        return stages

    def require(self, resolutions: Sequence[int]) -> None:
        """Raises a `LimnerError` if an entry names a resolution that the generator does not have."""
        for part, at, _ in self.entries:
            for size in at or ():
                if size not in resolutions:
                    raise LimnerError(
                        f"{part.__name__} is asked for at resolution {size}, which this generator does not have; "
                        f"it has {', '.join(map(str, resolutions))}."
                    )
