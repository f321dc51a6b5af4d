"""Diversity and distribution: formulas by hand, good scores for real data, bad ones for a collapsed generator."""

import math

import numpy as np
import pytest
import torch
from limner import Dataset, Ensemble, LimnerError, RealImages, to_bytes
from limner.recipes.options import resolve_component
from limner_diversity.distribution import Distribution, neighborhoods
from limner_diversity.features import RandomFeatures, extractor, features_of
from limner_diversity.prompt_diversity import PromptDiversity, vendi_score
from limner_scenes.dataset import Scenes

SCENES = Scenes(32, count=200)


class Repeats:
    """A collapsed generator: one image per prompt, or one for all prompts."""

    def __init__(self, for_all_prompts: bool):
        self.for_all_prompts = for_all_prompts

    def paint_images(self, prompts, seed=0):
        texts = [prompts[0] if self.for_all_prompts else text for text in prompts]
        return torch.cat([SCENES.real_images(text, 1, 7) for text in texts]).float() / 127.5 - 1


# --- formulas -------------------------------------------------------------------------------------------------------


def test_the_vendi_score_counts_different_rows():
    axes = torch.eye(4)
    assert vendi_score(axes) == pytest.approx(4)
    assert vendi_score(axes[:1].expand(5, -1)) == pytest.approx(1)
    assert vendi_score(torch.cat([axes, axes])) == pytest.approx(4)
    pair = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    shares = [(1 + 0.6) / 2, (1 - 0.6) / 2]  # the eigenvalues of [[1, .6], [.6, 1]] / 2
    assert vendi_score(pair) == pytest.approx(math.exp(-sum(share * math.log(share) for share in shares)))


def test_neighborhoods_equal_a_count_by_hand():
    real = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    generated = torch.tensor([[0.5], [1.5], [30.0]])

    def radius(points, i):
        return sorted(abs(points[i] - other) for j, other in enumerate(points) if j != i)[0]

    r, g = real.flatten().tolist(), generated.flatten().tolist()
    inside = np.array([[abs(a - b) <= radius(r, i) for b in g] for i, a in enumerate(r)])
    other = np.array([[abs(a - b) <= radius(g, j) for j, b in enumerate(g)] for a in r])
    by_hand = {
        "precision": inside.any(0).mean(),
        "recall": other.any(1).mean(),
        "density": inside.sum(0).mean(),
        "coverage": inside.any(1).mean(),
    }
    assert neighborhoods(real, generated, 1) == pytest.approx(by_hand)


def test_pixel_and_feature_distance_are_means_over_pairs():
    metric = PromptDiversity(SCENES, prompts=2, images=3)
    torch.manual_seed(0)
    images, features, real = torch.rand(6, 3, 4, 4), torch.randn(6, 5), torch.randn(7, 5)
    pairs = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)]
    pixel = np.mean([np.sqrt(np.mean((images[i] - images[j]).double().numpy() ** 2)) for i, j in pairs])
    apart = np.mean([np.linalg.norm((features[i] - features[j]).double().numpy()) for i, j in pairs])
    rows = real.double().numpy()
    unit = np.mean([np.linalg.norm(rows[i] - rows[j]) for i in range(7) for j in range(i)])
    found = metric.spread(images, features, real)
    assert found["pixel distance"] == pytest.approx(pixel)
    assert found["feature distance"] == pytest.approx(apart / unit)


def test_the_frechet_distance_is_that_of_two_gaussians():
    linalg = pytest.importorskip("scipy.linalg")
    metric = Distribution(SCENES, images=100)
    real = SCENES.load().pixels[:100].float() / 127.5 - 1
    generated = real.flip(3) * 0.7
    features = [features_of(images, RandomFeatures()).double().numpy() for images in (real, generated)]
    means, covariances = [rows.mean(0) for rows in features], [np.cov(rows.T) for rows in features]
    root = np.trace(linalg.sqrtm(covariances[0] @ covariances[1]).real)
    by_hand = ((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * root
    assert metric.compare(real, generated)["FID"] == pytest.approx(by_hand, rel=0.02)


# --- scores ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured():
    """The scores of real images, and of generators with one image per prompt, and with one image for all."""
    painters = {"real": RealImages(SCENES), "one each": Repeats(False), "one": Repeats(True)}
    metrics = [PromptDiversity(SCENES, prompts=6, images=8), Distribution(SCENES, images=200)]
    return {name: {k: v for m in metrics for k, v in m.measure(p).items()} for name, p in painters.items()}


@pytest.mark.slow
def test_real_images_get_the_scores_of_real_images(measured):
    real = measured["real"]
    assert real["painted/Vendi score"] == pytest.approx(real["real/Vendi score"], rel=0.1)
    assert real["painted/Vendi score"] > 2
    assert min(real[name] for name in ("precision", "recall", "coverage")) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("collapsed", ["one each", "one"])
def test_a_collapsed_generator_has_worse_scores(measured, collapsed):
    found, real = measured[collapsed], measured["real"]
    assert found["painted/pixel distance"] == pytest.approx(0, abs=1e-6)
    assert found["painted/feature distance"] == pytest.approx(0, abs=1e-5)
    assert found["painted/Vendi score"] == pytest.approx(1, abs=1e-6)
    assert found["recall"] < 0.8 * real["recall"]
    assert found["coverage"] < 0.8 * real["coverage"]
    assert found["FID"] > 1.5 * real["FID"]
    assert found["KID"] > real["KID"]


def test_real_images_have_an_fid_that_is_not_zero():
    """It belongs to the data: equal for all generators, and about what a painter of real images gets."""
    metric = Distribution(SCENES, images=100)
    real, one = metric.measure(RealImages(SCENES)), metric.measure(Repeats(True))
    assert real["FID of real images"] == one["FID of real images"] > 1
    assert real["FID"] < 1.5 * real["FID of real images"]
    assert one["FID"] > 2 * one["FID of real images"]


def test_two_halves_are_compared_if_the_data_has_too_few_images():
    metric, real = Distribution(SCENES, images=len(SCENES.load())), SCENES.load().pixels.float() / 127.5 - 1
    halves = metric.compare(real[::2], real[1::2])["FID"]
    assert metric.measure(RealImages(SCENES))["FID of real images"] == pytest.approx(halves)


def test_equal_seeds_give_equal_scores():
    metric = Distribution(SCENES, images=60)
    images = SCENES.load().pixels[:60].float() / 127.5 - 1
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = metric.compare(images, images.flip(3))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert metric.compare(images, images.flip(3)) == first


def test_an_ensemble_can_be_measured(trained):
    ensemble, scenes = Ensemble([trained, trained]), Scenes(16, count=40)
    assert Distribution(scenes, images=20).measure(ensemble)["FID"] > 0
    assert PromptDiversity(scenes, prompts=2, images=3).measure(ensemble)["painted/Vendi score"] >= 1


def test_the_old_name_of_the_option_still_works(plugins):
    with pytest.warns(match="neighbors"):
        found = resolve_component(plugins, "metric", "distribution", {"neighbours": 3}, "metrics.distribution")
    assert found.options["neighbors"] == 3


# --- features -------------------------------------------------------------------------------------------------------


def test_random_features_do_not_depend_on_the_seed_of_torch():
    images = SCENES.load().pixels[:5]
    torch.manual_seed(1)
    first = RandomFeatures()(images)
    torch.manual_seed(2)
    assert torch.equal(RandomFeatures()(images), first)
    assert first.shape == (5, 256)
    assert RandomFeatures()(to_bytes(torch.rand(2, 3, 64, 64))).shape == (2, 256)


def test_errors_say_what_is_missing(monkeypatch, tmp_path):
    with pytest.raises(LimnerError, match="features: expected 'random' or 'inception', got 'vgg'"):
        extractor("vgg")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        LimnerError, match=r"Inception's weights are not on this machine|needs the package torch-fidelity"
    ):
        extractor("inception")
    with pytest.raises(
        LimnerError, match=r"prompt-diversity: the data has [0-9]+ different captions, and 500 are needed"
    ):
        PromptDiversity(SCENES, prompts=500).measure(RealImages(SCENES))


def test_without_real_images_there_is_no_real_column(make_folder):
    from limner_coco.folder import CaptionedFolder

    folder = CaptionedFolder(16, root=str(make_folder(count=12)))
    assert type(folder).real_images is Dataset.real_images
    with pytest.raises(LimnerError, match=r"CaptionedFolder .* show several images of one prompt"):
        folder.real_images("a plain red wall", 2, 0)

    class Gray:
        def paint_images(self, prompts, seed=0):
            return torch.rand(len(prompts), 3, 16, 16)

    assert {name.split("/")[0] for name in PromptDiversity(folder, prompts=3, images=4).measure(Gray())} == {"painted"}
    assert Distribution(folder, images=12, neighbors=2).measure(Gray())["FID"] > 0
