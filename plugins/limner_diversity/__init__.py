"""Losses that make the images of one prompt differ, and metrics of how much they do."""

from limner.hooks import hookimpl


@hookimpl
def limner_losses():
    return {
        "autoencoding": "limner_diversity.autoencoding:Autoencoding",
        "noise-reading": "limner_diversity.noise_reading:NoiseReading",
        "mode-seeking": "limner_diversity.mode_seeking:ModeSeeking",
        "conditioning-divergence": "limner_diversity.conditioning:ConditioningDivergence",
    }


@hookimpl
def limner_metrics():
    return {
        "prompt-diversity": "limner_diversity.prompt_diversity:PromptDiversity",
        "distribution": "limner_diversity.distribution:Distribution",
    }
