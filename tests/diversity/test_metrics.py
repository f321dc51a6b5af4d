"""Diversity and distribution: formulas by hand, real data scores best, a collapsed painter is told apart."""

import math

import numpy as np
import pytest
import torch
from limner import LimnerError
from limner.data.batches import to_bytes
from limner.interfaces import Dataset
from limner.models.painter import RealImages
from limner_diversity.distribution import Distribution, neighbourhoods
from limner_diversity.features import RandomFeatures, extractor, features_of
from limner_diversity.prompt_diversity import PromptDiversity, vendi_score
from limner_scenes.dataset import Scenes

SCENES = Scenes(32, count=200)


class Repeats:
    """A generator that collapsed: one picture for each prompt, or one for all."""

    def __init__(self, every_prompt_alike: bool):
        self.alike = every_prompt_alike

    def paint_images(self, prompts, seed=0):
        texts = [prompts[0] if self.alike else text for text in prompts]
        return torch.cat([SCENES.real_images(text, 1, 7) for text in texts]).float() / 127.5 - 1


# --- formulas -------------------------------------------------------------------------------------------------------


def test_the_vendi_score_counts_the_different_ones():
    axes = torch.eye(4)
    assert vendi_score(axes) == pytest.approx(4)
    assert vendi_score(axes[:1].expand(5, -1)) == pytest.approx(1)
    assert vendi_score(torch.cat([axes, axes])) == pytest.approx(4)
    pair = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    shares = [(1 + 0.6) / 2, (1 - 0.6) / 2]  # the eigenvalues of [[1, .6], [.6, 1]] / 2
    assert vendi_score(pair) == pytest.approx(math.exp(-sum(share * math.log(share) for share in shares)))


def test_precision_recall_density_and_coverage_are_counted_by_hand():
    real = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    painted = torch.tensor([[0.5], [1.5], [30.0]])

    def reach(points, i):
        return sorted(abs(points[i] - other) for j, other in enumerate(points) if j != i)[0]

    r, p = real.flatten().tolist(), painted.flatten().tolist()
    inside = np.array([[abs(a - b) <= reach(r, i) for b in p] for i, a in enumerate(r)])
    other = np.array([[abs(a - b) <= reach(p, j) for j, b in enumerate(p)] for a in r])
    by_hand = {
        "precision": inside.any(0).mean(),
        "recall": other.any(1).mean(),
        "density": inside.sum(0).mean(),
        "coverage": inside.any(1).mean(),
    }
    assert neighbourhoods(real, painted, 1) == pytest.approx(by_hand)


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
    painted = real.flip(3) * 0.7
    seen = [features_of(images, RandomFeatures()).double().numpy() for images in (real, painted)]
    means, covariances = [s.mean(0) for s in seen], [np.cov(s.T) for s in seen]
    root = np.trace(linalg.sqrtm(covariances[0] @ covariances[1]).real)
    by_hand = ((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * root
    assert metric.compare(real, painted)["FID"] == pytest.approx(by_hand, rel=0.02)


# --- what they say --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured():
    """Real images, a painter that knows one picture for each prompt, and one that knows but one."""
    painters = {"real": RealImages(SCENES), "one each": Repeats(False), "one": Repeats(True)}
    metrics = [PromptDiversity(SCENES, prompts=6, images=8), Distribution(SCENES, images=200)]
    return {name: {k: v for m in metrics for k, v in m.measure(p).items()} for name, p in painters.items()}


def test_real_images_are_as_diverse_as_real_ones_and_distributed_alike(measured):
    real = measured["real"]
    assert real["painted/Vendi score"] == pytest.approx(real["real/Vendi score"], rel=0.1)
    assert real["painted/Vendi score"] > 2
    assert min(real[name] for name in ("precision", "recall", "coverage")) > 0.85


@pytest.mark.parametrize("collapsed", ["one each", "one"])
def test_a_collapsed_painter_is_told_apart_by_every_number_that_asks_for_variety(measured, collapsed):
    found, real = measured[collapsed], measured["real"]
    assert found["painted/pixel distance"] == pytest.approx(0, abs=1e-6)
    assert found["painted/feature distance"] == pytest.approx(0, abs=1e-5)
    assert found["painted/Vendi score"] == pytest.approx(1, abs=1e-6)
    assert found["recall"] < 0.8 * real["recall"]
    assert found["coverage"] < 0.8 * real["coverage"]
    assert found["FID"] > 1.5 * real["FID"]
    assert found["KID"] > real["KID"]


def test_the_same_seed_gives_the_same_numbers_and_leaves_torchs_own_alone():
    metric = Distribution(SCENES, images=60)
    images = SCENES.load().pixels[:60].float() / 127.5 - 1
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = metric.compare(images, images.flip(3))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert metric.compare(images, images.flip(3)) == first


# --- features -------------------------------------------------------------------------------------------------------


def test_random_features_are_the_same_for_everybody_and_for_any_size():
    images = SCENES.load().pixels[:5]
    torch.manual_seed(1)
    first = RandomFeatures()(images)
    torch.manual_seed(2)
    assert torch.equal(RandomFeatures()(images), first)
    assert first.shape == (5, 256)
    assert RandomFeatures()(to_bytes(torch.rand(2, 3, 64, 64))).shape == (2, 256)


def test_what_cannot_be_measured_is_told(monkeypatch, tmp_path):
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


def test_data_without_several_images_of_a_prompt_has_no_real_column(make_folder):
    from limner_coco.folder import CaptionedFolder

    folder = CaptionedFolder(16, root=str(make_folder(count=12)))
    assert type(folder).real_images is Dataset.real_images
    with pytest.raises(LimnerError, match="CaptionedFolder has no way to show several images of one prompt"):
        folder.real_images("a plain red wall", 2, 0)

    class Gray:
        def paint_images(self, prompts, seed=0):
            return torch.rand(len(prompts), 3, 16, 16)

    assert {name.split("/")[0] for name in PromptDiversity(folder, prompts=3, images=4).measure(Gray())} == {"painted"}
    assert Distribution(folder, images=12, neighbours=2).measure(Gray())["FID"] > 0
