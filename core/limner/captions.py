"""The old place of `limner.coco_index`, kept for plugins that were written before API 1.1."""

import warnings
from typing import Any

import limner


def __getattr__(name: str) -> Any:
    if name != "coco_index":
        raise AttributeError(f"module 'limner.captions' has no attribute '{name}'")
    warnings.warn("limner.captions.coco_index is now limner.coco_index.", DeprecationWarning, stacklevel=2)
    return limner.coco_index
