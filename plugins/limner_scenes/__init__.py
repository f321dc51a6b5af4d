"""Captioned scenes: any number of colored shapes on colored backgrounds, and a judge that reads them back.

`scenes` defines what a scene is, `shapes` and `drawing` draw it, `grammar` describes it in the words of `wordings` and
`spelling`, and `dataset` provides both as captioned images. `parsing` reads a caption, `judge` (with `templates`) reads
an image, and `metrics` applies the judge to a model.
"""

from collections.abc import Mapping

from limner.hooks import hookimpl


@hookimpl
def limner_datasets() -> Mapping[str, str]:
    """The data set `scenes`."""
    return {"scenes": "limner_scenes.dataset:Scenes"}


@hookimpl
def limner_metrics() -> Mapping[str, str]:
    """How well images match their prompts, and how much the images of one prompt vary."""
    return {
        "scene-judge": "limner_scenes.metrics:SceneJudge",
        "scene-captions": "limner_scenes.metrics:SceneCaptions",
        "scene-diversity": "limner_scenes.metrics:SceneDiversity",
    }


@hookimpl
def limner_recipes() -> Mapping[str, str]:
    """The recipes of the first lessons and of the published figures."""
    names = (
        *("quickstart", "scenes-wordings", "scenes-one", "scenes-32", "scenes-64"),
        *("scenes-32-short", "scenes-32-diverse", "scenes-64-diverse"),
    )
    return {name: f"limner_scenes:recipes/{name}.toml" for name in names}


@hookimpl
def limner_league_entries() -> Mapping[str, str]:
    """The recipe with which the league compares all others."""
    return {"scenes-64": "scenes"}


@hookimpl
def limner_models() -> Mapping[str, str]:
    """A trained model of the first lesson: `limner paint quickstart "a red circle above a blue square"`."""
    return {"quickstart": "limner_scenes:models/quickstart"}
