"""Noise reading against its formula."""

import numpy as np
import pytest
import torch
from limner import Judgement, LimnerError
from limner_diversity.noise_reading import NoiseReading


@pytest.mark.parametrize("numbers", [1, 4, 8])
def test_the_loss_is_the_mean_squared_error_of_a_linear_reader(sizes, make_step, numbers):
    torch.manual_seed(0)
    loss = NoiseReading(sizes, numbers=numbers)
    noise, features = torch.randn(5, 8), torch.randn(5, 8, 4, 4)
    step = make_step(noise=noise, generated=Judgement(torch.zeros(5, 1), None, features))
    weight, bias = (value.detach().double().numpy() for value in (loss.reader.weight, loss.reader.bias))
    errors = [
        (weight[k] @ features[i].double().numpy().ravel() + bias[k] - noise[i, k].item()) ** 2
        for i in range(5)
        for k in range(numbers)
    ]
    assert loss.discriminator(step).item() == pytest.approx(np.mean(errors), rel=1e-5)
    assert loss.generator(step).item() == pytest.approx(np.mean(errors), rel=1e-5)


def test_more_numbers_than_the_noise_has_are_refused(sizes):
    with pytest.raises(LimnerError, match="numbers: the noise has only 8, so 9 of them cannot be read"):
        NoiseReading(sizes, numbers=9)
