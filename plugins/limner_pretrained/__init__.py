"""Pretrained models of transformers: text models as encoders, frozen or fine-tuned, and CLIP as a metric."""

from limner.hooks import hookimpl


@hookimpl
def limner_encoders():
    return {"pretrained": "limner_pretrained.encoder:PretrainedEncoder"}


@hookimpl
def limner_metrics():
    return {"clip-score": "limner_pretrained.clip_score:ClipScore"}
