"""Captioned images from files: MS-COCO, or a folder of your own.

`layouts` finds out which image has which captions: `tables`, `jsons` and `beside` read the forms of files of captions,
with `files` for text and JSON, into the `listing` of a folder. `finding` finds the image files, and `store` keeps
their squares of pixels in a file, so that each is made only once. `folder` provides all of it as captioned images.
`hub` brings data sets of the hub into such a folder. `published` downloads MS-COCO, `checking` finds what is wrong
with a folder, and `commands` holds `limner data coco` and `limner data folder`. `nlvr_judge` measures models of NLVR's
drawings: `nlvr_items` reads what an image shows, and `nlvr_claims` what a sentence claims.
"""

from collections.abc import Mapping

from limner.hooks import hookimpl


@hookimpl
def limner_datasets() -> Mapping[str, str]:
    """`coco` for the COCO layout and `folder` for any other, which are the same; `hub` for data sets on the hub."""
    return {
        "coco": "limner_coco.folder:CaptionedFolder",
        "folder": "limner_coco.folder:CaptionedFolder",
        "hub": "limner_coco.hub:HubCaptions",
    }


@hookimpl
def limner_metrics() -> Mapping[str, str]:
    """`nlvr-judge`: whether what a caption claims is true of the image."""
    return {"nlvr-judge": "limner_coco.nlvr_judge:NlvrJudge"}


@hookimpl
def limner_data_commands() -> Mapping[str, str]:
    """Commands that check a folder and download MS-COCO."""
    return {"coco": "limner_coco.commands:coco", "folder": "limner_coco.commands:folder"}


@hookimpl
def limner_recipes() -> Mapping[str, str]:
    """Photographs, drawings that people described, and emoji; each of them needs `data.root`."""
    return {name: f"limner_coco:recipes/{name}.toml" for name in ("coco", "coco-small", "nlvr", "emoji")}
