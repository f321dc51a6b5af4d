"""Losses that make an image match its text, and a metric of the match."""

from limner.hooks import hookimpl


@hookimpl
def limner_losses():
    return {
        "sentence-contrast": "limner_consistency.contrast:SentenceContrast",
        "caption-contrast": "limner_consistency.caption_contrast:CaptionContrast",
        "word-contrast": "limner_consistency.word_contrast:WordContrast",
        "damsm": "limner_consistency.damsm:DAMSM",
        "cycle": "limner_consistency.cycle:CycleConsistency",
        "reconstruction": "limner_consistency.reconstruction:Reconstruction",
    }


@hookimpl
def limner_metrics():
    return {"retrieval": "limner_consistency.retrieval:Retrieval"}


@hookimpl(tryfirst=True)  # before a progress bar of the training appears
def limner_training_started(run):
    from .pretraining import pretrain  # imports torch

    pretrain(run)
