"""What makes the images of one prompt differ."""

from limner.hooks import hookimpl


@hookimpl
def limner_losses():
    return {"noise-reading": "limner_diversity.noise_reading:NoiseReading"}
