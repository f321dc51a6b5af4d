"""Losses that hold an image to its text."""

from limner.hooks import hookimpl


@hookimpl
def limner_losses():
    return {
        "sentence-contrast": "limner_consistency.contrast:SentenceContrast",
        "cycle": "limner_consistency.cycle:CycleConsistency",
    }
