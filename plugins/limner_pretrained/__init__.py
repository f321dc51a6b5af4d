"""Pretrained models of transformers: text models as encoders, and CLIP as a metric and within a discriminator."""

from limner.hooks import hookimpl


@hookimpl
def limner_encoders():
    return {"pretrained": "limner_pretrained.encoder:PretrainedEncoder"}


@hookimpl
def limner_discriminators():
    return {"clip": "limner_pretrained.clip_discriminator:ClipDiscriminator"}


@hookimpl
def limner_metrics():
    return {"clip-score": "limner_pretrained.clip_score:ClipScore"}
