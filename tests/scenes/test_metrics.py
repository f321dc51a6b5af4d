"""The metrics: a perfect painter scores 1, one that repeats itself has no diversity, and names are as documented."""

from importlib import import_module

import limner_scenes
import pytest
import torch
from limner import Dataset, Ensemble, LimnerError, Metric
from limner_scenes.dataset import Scenes
from limner_scenes.metrics import SceneCaptions, SceneDiversity, SceneJudge, truths
from limner_scenes.parsing import parse
from limner_scenes.scenes import ANY


class Perfect:
    """Paints real scenes of every prompt."""

    def __init__(self, scenes: Scenes, *, always_the_same: bool = False):
        self.scenes = scenes
        self.always_the_same = always_the_same

    def paint_images(self, prompts, seed=0):
        seeds = [0 if self.always_the_same else seed * 1000 + i for i in range(len(prompts))]
        images = [self.scenes.real_images(text, 1, s) for text, s in zip(prompts, seeds, strict=True)]
        return torch.cat(images).float() / 127.5 - 1


class Blank:
    def paint_images(self, prompts, seed=0):
        return torch.zeros(len(prompts), 3, 32, 32)


@pytest.mark.parametrize("objects", [1, 2])
def test_what_was_asked_and_shown_agrees_with_the_verdict(objects):
    scenes = Scenes(32, objects=objects, wordings=8)
    judge, painter = SceneJudge(scenes), Perfect(scenes)
    prompts = judge.example_prompts(30)
    assert len(set(prompts)) == 30
    right = painter.paint_images(prompts)
    wrong = 0
    for number, prompt in enumerate(prompts):
        assert all(asked == shown for _, asked, shown in judge.asked_and_shown(right[number], prompt))
        other = right[number - 1]  # the scene of another prompt
        told, verdict = judge.asked_and_shown(other, prompt), judge.verdict(other, prompt)
        assert verdict is not None
        for attribute in ("color", "shape"):
            pairs = [(asked, shown) for name, asked, shown in told if name == attribute]
            assert len(pairs) == objects
            assert all(asked == shown for asked, shown in pairs) == verdict[attribute]
            wrong += not verdict[attribute]
        assert ("background" in verdict) == any(name == "background" for name, _, _ in told)
    assert wrong > 30
    assert judge.asked_and_shown(right[0], "nothing of the grammar") == []
    assert {shown for _, _, shown in judge.asked_and_shown(torch.zeros(3, 32, 32), prompts[0])} <= {"unclear", "gray"}


@pytest.mark.parametrize(("objects", "placing"), [(1, "size"), (2, "relation")])
def test_a_perfect_painter_has_perfect_scores(objects, placing):
    scenes = Scenes(32, objects=objects, wordings=8)
    scores = SceneJudge(scenes, prompts=40).measure(Perfect(scenes))
    names = ("exact", "shape", "color", placing, "background")
    groups = ("trained", "held out", "held-out wordings")
    assert list(scores) == [f"{group}/{name}" for group in groups for name in names]
    assert min(scores.values()) >= 0.98


def test_held_out_wordings_are_scored_apart():
    class Painter(Perfect):
        """Understands no held-out wording."""

        def paint_images(self, prompts, seed=0):
            return super().paint_images(["a red circle above a pink heart" if p in reworded else p for p in prompts])

    scenes = Scenes(32, wordings=2)
    reworded = scenes.prompts(30, 0, held_out_wording=True).texts
    metric = SceneJudge(scenes, prompts=30)
    scores = metric.measure(Painter(scenes))
    assert metric.about == "30 prompts of trained pairs and 30 of held-out ones, 30 in held-out wordings, seed 0"
    assert min(scores["trained/exact"], scores["held out/exact"]) >= 0.98
    assert scores["held-out wordings/exact"] < 0.1


def test_one_wording_has_no_held_out_wordings():
    metric = SceneJudge(Scenes(32), prompts=5)
    assert metric.about == "5 prompts of trained pairs and 5 of held-out ones, seed 0"
    assert {name.split("/")[0] for name in metric.measure(Blank())} == {"trained", "held out"}


def test_a_blank_painter_shows_nothing():
    scores = SceneJudge(Scenes(32), prompts=40).measure(Blank())
    assert scores["trained/exact"] == scores["held out/exact"] == scores["trained/shape"] == 0


def test_diversity_is_one_for_real_scenes_and_zero_for_one():
    scenes = Scenes(32)
    assert SceneDiversity(scenes, prompts=6).measure(Perfect(scenes))["diversity"] == pytest.approx(1, abs=0.15)
    same = Perfect(scenes, always_the_same=True)
    assert SceneDiversity(scenes, prompts=2).measure(same)["diversity"] == pytest.approx(0, abs=1e-6)


def test_metrics_of_scenes_need_scenes():
    class Other(Dataset):
        def load(self):
            raise NotImplementedError

    with pytest.raises(LimnerError, match="the data set is Other"):
        SceneJudge(Other(32))
    with pytest.raises(LimnerError, match="`images` of this metric should be at least 2, not 1"):
        SceneDiversity(Scenes(32), images=1)


def test_the_plugin_lists_its_components():
    kinds = {Dataset: limner_scenes.limner_datasets(), Metric: limner_scenes.limner_metrics()}
    for kind, offered in kinds.items():
        for place in offered.values():
            module, name = place.split(":")
            assert issubclass(getattr(import_module(module), name), kind)
    assert set(Scenes.metrics) <= set(limner_scenes.limner_metrics())


def test_a_true_caption_may_name_either_object_first():
    asked = parse("a red circle above a blue square on a white background")
    assert asked is not None
    plain = [*asked[:-1], ANY]
    right = ["a blue square below a red circle", "a red circle above a blue square on a white background"]
    wrong = ["a red circle below a blue square", "a red circle above a green square", "a circle, I think"]
    found = truths([*right, *wrong], [asked] * 5)
    assert found == {"exact": 2 / 5, "relation": 3 / 5, "color": 3 / 5, "shape": 4 / 5, "background": 1 / 2}
    assert truths(right, [plain, plain])["exact"] == 1


def test_captions_are_compared_with_the_prompts():
    scenes = Scenes(16)
    prompts = scenes.prompts(6, 0)

    class Captioning:
        def paint_images(self, prompts, seed=0):
            return torch.zeros(len(prompts), 3, 16, 16)

        def caption(self, images):
            assert isinstance(images, torch.Tensor)
            return prompts.texts if images.std() > 0 else ["nothing"] * len(images)

    scores = SceneCaptions(scenes, images=6).measure(Captioning())
    assert scores["read from real/exact"] == 1
    assert scores["read from painted/exact"] == scores["read from painted/color"] == 0
    with pytest.raises(LimnerError, match="only a trained model"):
        SceneCaptions(scenes).measure(Perfect(scenes))


def test_another_model_reads_what_a_painter_without_a_captioner_paints():
    scenes = Scenes(32, wordings=8)
    found = SceneCaptions(scenes, images=40, reader="quickstart")
    scores = found.measure(Perfect(scenes))
    assert scores["read from real/color"] > 0.95
    assert scores["read from painted/color"] > 0.95
    assert SceneCaptions(scenes, images=40, reader="quickstart").measure(Blank())["read from painted/exact"] == 0
    assert "read by quickstart" in found.about
    with pytest.raises(LimnerError, match="quickstart reads images of 32 pixels, not of 64; choose a reader"):
        SceneCaptions(Scenes(64), reader="quickstart").measure(Blank())
    with pytest.raises(LimnerError, match="no run folder nowhere"):
        SceneCaptions(scenes, reader="nowhere").measure(Blank())


def test_the_judge_measures_an_ensemble(trained):
    ensemble = Ensemble([trained, trained])
    scenes = Scenes(16)
    scores = SceneJudge(scenes, prompts=5).measure(ensemble) | SceneDiversity(scenes, prompts=2).measure(ensemble)
    assert {"trained/exact", "held out/exact", "diversity"} <= set(scores)
    with pytest.raises(LimnerError, match="can caption images"):
        SceneCaptions(scenes).measure(ensemble)
