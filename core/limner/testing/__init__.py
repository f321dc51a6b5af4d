"""Tools for testing plugins: a contract check for each kind of component, tiny components, and an isolated plugin host.

The whole test of a plugin may be::

    import limner_glow
    from limner.testing import check_attention, check_plugin

    def test_the_plugin_is_healthy():
        check_plugin(limner_glow)

    def test_glow_keeps_the_promises_of_attention():
        check_attention(limner_glow.attention.Glow, heads=2)

A check that fails raises `BrokenPromise`, which names the promise and says what was found instead. The bundled
components pass the same checks.

May import every room of `limner` but `limner.cli`.
"""

from limner.testing.checks import BrokenPromise
from limner.testing.losses_data_metrics import check_dataset, check_loss, check_metric, check_plugin
from limner.testing.networks import check_attention, check_discriminator, check_encoder, check_generator, check_stage
from limner.testing.optimizers import check_optimizer
from limner.testing.tiny import (
    BagOfWords,
    ColoredSquares,
    FirstStage,
    LeastSquares,
    TinyDiscriminator,
    TinyGenerator,
    TinyStages,
    tiny_host,
    tiny_recipe,
    tiny_sizes,
)
from limner.testing.waiting import find_waits

__all__ = [
    "BagOfWords",
    "BrokenPromise",
    "ColoredSquares",
    "FirstStage",
    "LeastSquares",
    "TinyDiscriminator",
    "TinyGenerator",
    "TinyStages",
    "check_attention",
    "check_dataset",
    "check_discriminator",
    "check_encoder",
    "check_generator",
    "check_loss",
    "check_metric",
    "check_optimizer",
    "check_plugin",
    "check_stage",
    "find_waits",
    "tiny_host",
    "tiny_recipe",
    "tiny_sizes",
]
