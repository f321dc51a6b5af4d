"""What a plugin may say to Limner: the hook specifications.

A plugin is a module named by an entry point of the group `limner`. It implements any of these functions and marks
them with `hookimpl`::

    from limner.hooks import hookimpl

    @hookimpl
    def limner_losses():
        return {"least-squares": "limner_glow.losses:LeastSquares"}

Components are handed over by name, as classes or, better, as import strings "module:Class": then listing what is
installed imports nothing heavy.

The module may state `API_VERSION = "1.0"`, the version of these hooks and of `limner.interfaces` that it was written
for. Within one major version nothing that is documented there is taken away or changes its meaning, and what is added
raises the minor one. So a plugin works with any Limner of the same major and the same or a higher minor version; with
any other it is left out, and told why.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from limner.training.loop import Run

GROUP = "limner"
"""The entry-point group, and the project name of the hooks."""

API_VERSION = "1.0"
"""The version of the hooks and the interfaces, major and minor."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)

Named = Mapping[str, type | str]
"""Components by name: classes, or import strings "module:Class"."""


@hookspec
def limner_encoders() -> Named:  # pyright: ignore[reportReturnType]
    """Text encoders: subclasses of `limner.TextEncoder`."""


@hookspec
def limner_generators() -> Named:  # pyright: ignore[reportReturnType]
    """Generators: subclasses of `limner.Generator`."""


@hookspec
def limner_discriminators() -> Named:  # pyright: ignore[reportReturnType]
    """Discriminators: subclasses of `limner.Discriminator`."""


@hookspec
def limner_losses() -> Named:  # pyright: ignore[reportReturnType]
    """Losses: subclasses of `limner.Loss`."""


@hookspec
def limner_attentions() -> Named:  # pyright: ignore[reportReturnType]
    """Attention modules for a generator's slot: subclasses of `limner.Attention`."""


@hookspec
def limner_stages() -> Named:  # pyright: ignore[reportReturnType]
    """Stages for a hierarchical generator's slot: subclasses of `limner.Stage`."""


@hookspec
def limner_datasets() -> Named:  # pyright: ignore[reportReturnType]
    """Captioned images: subclasses of `limner.Dataset`."""


@hookspec
def limner_metrics() -> Named:  # pyright: ignore[reportReturnType]
    """Measurements: subclasses of `limner.Metric`."""


@hookspec
def limner_recipes() -> Mapping[str, str]:  # pyright: ignore[reportReturnType]
    """Recipes by name, each as "package:path/in/package.toml"."""


@hookspec
def limner_data_commands() -> Mapping[str, str]:  # pyright: ignore[reportReturnType]
    """Commands that look after data, given as `limner data NAME`: by name, import strings of a `typer.Typer` each.

    The module is imported when the command is asked for, or `limner data --help`; nothing heavy stands at its top.
    """


@hookspec
def limner_training_started(run: "Run") -> None:
    """Training is about to make its first step; everything is built."""


@hookspec
def limner_step_finished(run: "Run", losses: Mapping[str, float]) -> None:
    """Step `run.step` was made; `losses` holds every loss, each player's side apart, and the two sums."""


@hookspec
def limner_samples_drawn(run: "Run", images: object, prompts: list[str]) -> None:
    """The preview prompts were painted: `images` is a float tensor [N, 3, H, W] in [-1, 1]."""


@hookspec
def limner_checkpoint_saved(run: "Run", folder: object) -> None:
    """The run's weights were written to `folder` (a `pathlib.Path`)."""


@hookspec
def limner_training_finished(run: "Run") -> None:
    """The last step was made, or training was interrupted; the weights are saved."""
