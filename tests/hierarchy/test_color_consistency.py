"""Color consistency against its formula in float64."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from limner_hierarchy.color_consistency import ColorConsistency


def test_it_equals_its_formula(sizes, make_step):
    images = [torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size)) for size in (4, 8, 16)]
    value = ColorConsistency(sizes, covariance=3.0).generator(make_step(generated_images=images))
    assert value is not None
    gaps = []
    for small, large in pairwise(images):
        for one, other in zip(small.double().numpy(), large.double().numpy()):
            pixels = one.reshape(3, -1), other.reshape(3, -1)
            means = [of.mean(1) for of in pixels]
            covariances = [np.cov(of, bias=True) for of in pixels]
            distances = np.sum((means[0] - means[1]) ** 2), np.sum((covariances[0] - covariances[1]) ** 2)
            gaps.append(distances[0] + 3.0 * distances[1])
    assert value.item() == pytest.approx(np.mean(gaps), rel=1e-5)


def test_equal_colors_cost_nothing_and_one_stage_has_no_term(sizes, make_step):
    small = torch.randn(2, 3, 4, 4)
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    loss = ColorConsistency(sizes)
    assert loss.generator(make_step(generated_images=[small, large])) == pytest.approx(0, abs=1e-6)
    assert loss.generator(make_step(generated_images=[large])) is None
