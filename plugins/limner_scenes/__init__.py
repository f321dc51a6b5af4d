"""Captioned scenes: colored shapes on colored backgrounds, endlessly many, and a judge that knows the truth.

`scenes` says what a scene is, `shapes` and `drawing` paint it, `grammar` speaks of it, `dataset` offers
both as captioned images, `judge` (with `templates`) reads an image back, and `metrics` lets a model be judged.
"""

from collections.abc import Mapping

from limner.hooks import hookimpl


@hookimpl
def limner_datasets() -> Mapping[str, str]:
    """The data set `scenes`."""
    return {"scenes": "limner_scenes.dataset:Scenes"}


@hookimpl
def limner_metrics() -> Mapping[str, str]:
    """How well prompts are met, and how much images of one prompt vary."""
    return {
        "scene-judge": "limner_scenes.metrics:SceneJudge",
        "scene-captions": "limner_scenes.metrics:SceneCaptions",
        "scene-diversity": "limner_scenes.metrics:SceneDiversity",
    }


@hookimpl
def limner_recipes() -> Mapping[str, str]:
    """The recipes that the first lessons and the published figures are made with."""
    names = ("quickstart", "scenes-one", "scenes-32", "scenes-64")
    return {name: f"limner_scenes:recipes/{name}.toml" for name in names}
