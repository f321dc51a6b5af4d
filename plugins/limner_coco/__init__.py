"""Captioned images from a folder in the MS-COCO captions layout."""

from limner.hooks import hookimpl


@hookimpl
def limner_datasets():
    return {"coco": "limner_coco.folder:CocoFolder"}


@hookimpl
def limner_recipes():
    return {"coco": "limner_coco:coco.toml"}
