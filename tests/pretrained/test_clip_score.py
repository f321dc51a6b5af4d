"""The metric `clip-score`: its formula, what it reads, and models that are no CLIP."""

import json
import shutil
from collections.abc import Sequence

import pytest
import torch
from jaxtyping import Float
from limner import LimnerError, to_float
from limner.testing import check_metric
from limner_pretrained.clip_score import ClipScore, clip_scores, open_clip
from limner_scenes.dataset import Scenes
from torch import Tensor
from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

SCENES = Scenes(16, count=12)
CAPTIONS = ["a red circle above a blue square", "a star", "a green heart on a white background"]


def random_images(count: int, size: int = 8) -> Float[Tensor, "N 3 H W"]:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


class Copies:
    """Paints the real images of the scenes."""

    def paint_images(self, prompts: Sequence[str], seed: int = 0) -> Float[Tensor, "N 3 H W"]:
        data = SCENES.load()
        of = {annotations[0]["caption"]: row for row, annotations in enumerate(data.annotations)}
        return to_float(data.pixels[[of[text] for text in prompts]])


def test_it_is_the_formula(whole_clip):
    """By hand, in float64: project both pooled features, and take 2.5 times the cosine, where it is positive."""
    clip, tokenizer = open_clip(str(whole_clip))
    images = random_images(len(CAPTIONS))
    found = clip_scores(clip, tokenizer, images, CAPTIONS)
    clip = clip.double()
    mean, deviation = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    for image, text, score in zip(images.double(), CAPTIONS, found):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        pixels = ((image + 1) / 2 - mean) / deviation
        of_image = clip.visual_projection(clip.vision_model(pixels[None]).pooler_output)[0]
        of_text = clip.text_projection(clip.text_model(ids).pooler_output)[0]
        cosine = (of_image * of_text).sum() / (of_image.norm() * of_text.norm())
        assert score.item() == pytest.approx(2.5 * max(cosine.item(), 0), abs=1e-5)


def test_padding_and_batches_have_no_influence(whole_clip):
    clip, tokenizer = open_clip(str(whole_clip))
    images, texts = random_images(40, size=20), [CAPTIONS[number % 3] for number in range(40)]
    alone = torch.cat([clip_scores(clip, tokenizer, images[i : i + 1], texts[i : i + 1]) for i in range(40)])
    assert torch.allclose(clip_scores(clip, tokenizer, images, texts), alone, atol=1e-5)


def test_scores_of_painted_and_real_images(whole_clip):
    scores = ClipScore(SCENES, model=str(whole_clip), images=6).measure(Copies())
    assert set(scores) == {f"{c}/{k}" for c in ("painted", "real") for k in ("CLIPScore", "of another caption")}
    assert scores["painted/CLIPScore"] == pytest.approx(scores["real/CLIPScore"])
    assert all(0 <= score <= 2.5 for score in scores.values())


def test_the_prefix_is_read(whole_clip):
    with_prefix, without = (
        ClipScore(SCENES, model=str(whole_clip), images=6, prefix=prefix).measure(Copies())
        for prefix in ("A photo depicts", "")
    )
    assert with_prefix != without


def test_it_keeps_the_promises_of_metrics(whole_clip):
    check_metric(ClipScore, SCENES, model=str(whole_clip), images=6)


def test_it_says_on_what_it_is_based(whole_clip):
    assert ClipScore(SCENES, model=str(whole_clip)).about == f"200 images, CLIP from {whole_clip}, seed 0"


def test_without_a_model_it_says_how_to_name_one():
    with pytest.raises(LimnerError, match="no CLIP model is named; name a folder or a model of the hub"):
        ClipScore(SCENES)


def damage(change):
    def apply(folder):
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shutil.rmtree, "model: '.*damaged' is neither a folder with a model nor kept on this machine"),
        (lambda folder: (folder / "config.json").unlink(), "model: the folder .*damaged is not a transformers model"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model: the weights of '.*damaged' cannot be read"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "model: '.*damaged' has no tokenizer that can"),
        (damage(lambda config: config.update(model_type="bert")), "is a model of type 'bert'; CLIPScore needs a CLIP"),
    ],
    ids=["folder", "configuration", "weights", "tokenizer", "type"],
)
def test_a_damaged_model_is_one_sentence(whole_clip, tmp_path, change, message):
    folder = tmp_path / "damaged"
    shutil.copytree(whole_clip, folder)
    change(folder)
    with pytest.raises(LimnerError, match=message) as raised:
        ClipScore(SCENES, model=str(folder)).measure(Copies())
    assert "\n" not in str(raised.value)


def test_other_models_are_no_clip(small_bert, small_clip):
    for folder, kind in ((small_bert, "bert"), (small_clip, "clip_text_model")):
        with pytest.raises(LimnerError, match=f"is a model of type '{kind}'; CLIPScore needs a CLIP with its text"):
            ClipScore(SCENES, model=str(folder)).measure(Copies())
