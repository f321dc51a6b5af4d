"""Pretrained text encoders: any BERT-like or CLIP text model of transformers, frozen or fine-tuned."""

from limner.hooks import hookimpl


@hookimpl
def limner_encoders():
    return {"pretrained": "limner_pretrained.encoder:PretrainedEncoder"}
