"""Captioned images from files: MS-COCO, and folders of one's own.

`layouts` reads which image has which captions, `decoding` makes an image file a square of pixels, `store` keeps these
squares in a file, so that each is made once, and `folder` offers both as captioned images. `published` fetches MS-COCO,
`checking` says what is wrong with a folder, and `commands` are `limner data coco` and `limner data folder`.
"""

from collections.abc import Mapping

from limner.hooks import hookimpl


@hookimpl
def limner_datasets() -> Mapping[str, str]:
    """One reader under two names: `coco` for the COCO layout, `folder` for whatever one has."""
    return {"coco": "limner_coco.folder:CaptionedFolder", "folder": "limner_coco.folder:CaptionedFolder"}


@hookimpl
def limner_data_commands() -> Mapping[str, str]:
    """Checking a folder; fetching MS-COCO."""
    return {"coco": "limner_coco.commands:coco", "folder": "limner_coco.commands:folder"}


@hookimpl
def limner_recipes() -> Mapping[str, str]:
    """Photographs, and two sets of drawings that people described; each asks for `data.root`."""
    return {name: f"limner_coco:recipes/{name}.toml" for name in ("coco", "nlvr", "emoji")}
