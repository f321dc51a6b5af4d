"""Experiment trackers: TensorBoard, Weights & Biases, MLflow, Aim and Comet, through the trackers of accelerate.

`recording` says what is recorded and when, `trackers` how each tracker is opened and shown a picture.
"""

from collections.abc import Mapping

from limner.hooks import hookimpl

API_VERSION = "1.3"


@hookimpl
def limner_trackers() -> Mapping[str, str]:
    """The trackers by the names that recipes use."""
    return {
        "tensorboard": "limner_trackers.trackers:TensorBoard",
        "wandb": "limner_trackers.trackers:WeightsAndBiases",
        "mlflow": "limner_trackers.trackers:MLflow",
        "aim": "limner_trackers.trackers:Aim",
        "comet": "limner_trackers.trackers:Comet",
    }
