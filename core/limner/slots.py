"""The slots of a generator: places that a recipe fills with attention modules or stages."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from torch import nn

from limner.errors import LimnerError
from limner.interfaces import Attention, Stage
from limner.types import Sizes

PartT = TypeVar("PartT", Attention, Stage)


class Slot(Generic[PartT]):
    """Components that a recipe puts into a slot of a generator: which, where, and with which options.

    In a recipe: `attention = "multi-head"`, `attention = {name = "multi-head", at = [8, 16], heads = 4}`, or a list
    of such; `"none"` leaves the slot empty. A generator asks for attention with `slot.build` at each of its
    resolutions, and for its stages with `slot.stack`.
    """

    def __init__(self, entries: Sequence[tuple[type[PartT], Sequence[int] | None, dict[str, Any]]] = ()):
        """`entries`: component class, resolutions (None: every one), options."""
        self.entries = tuple(entries)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def build(self: "Slot[Attention]", sizes: Sizes, channels: int, size: int) -> "nn.ModuleList":
        """The attention that stands at resolution `size`, where the feature map has `channels` channels."""
        return nn.ModuleList(
            part(sizes, channels, **options) for part, at, options in self.entries if at is None or size in at
        )

    def stack(self: "Slot[Stage]", sizes: Sizes) -> "list[Stage]":
        """The stages, one upon the other."""
        stages: list[Stage] = []
        for part, at, options in self.entries:
            if at is not None:
                raise LimnerError(f"at: stages stand one upon the other, so say no resolution; got {list(at)}.")
            stages.append(part(sizes, stages[-1] if stages else None, **options))
        return stages

    def require(self, resolutions: Sequence[int]) -> None:
        """Refuse a resolution that the generator does not have."""
        for part, at, _ in self.entries:
            for size in at or ():
                if size not in resolutions:
                    raise LimnerError(
                        f"{part.__name__} is asked for at resolution {size}, which this generator does not have; "
                        f"it has {', '.join(map(str, resolutions))}."
                    )
