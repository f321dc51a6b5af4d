"""Which feature maps a network has, and a clear error for an option that names another one."""

from collections.abc import Collection

from limner.errors import LimnerError


def require_maps(option: str, network: str, wanted: Collection[int], sizes: Collection[int]) -> None:
    """Raises a `LimnerError` if the `option` of a `network` wants a map of a size (pixels) that `sizes` lacks."""
    if unknown := [size for size in wanted if size not in sizes]:
        raise LimnerError(
            f"{option}: this {network} has no map of {unknown[0]} pixels; it has {', '.join(map(str, sizes))}."
        )
