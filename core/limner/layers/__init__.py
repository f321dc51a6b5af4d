"""Parts of networks that plugins share.

Generators are built from `ImageDecoder`, or from its parts. Discriminators are built from `convolution`,
`halving_layers` and `TextHead`. `rename_weights` lets a module read weights that were saved under older names.
"""

from limner.layers.condition import ConditioningAugmentation, Mapping
from limner.layers.decoder import ImageDecoder, Modulate, ModulatedBlock, UpLevel
from limner.layers.pixels import PalettePixels, PlainPixels
from limner.layers.renaming import rename_weights
from limner.layers.scores import ResidualBlock, TextHead, convolution, halving_layers, initialize

__all__ = [
    "ConditioningAugmentation",
    "ImageDecoder",
    "Mapping",
    "Modulate",
    "ModulatedBlock",
    "PalettePixels",
    "PlainPixels",
    "ResidualBlock",
    "TextHead",
    "UpLevel",
    "convolution",
    "halving_layers",
    "initialize",
    "rename_weights",
]
