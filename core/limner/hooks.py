"""The hooks that a plugin can implement.

A plugin is a module named by an entry point of the group `limner`. It implements any of these functions and marks
them with `hookimpl`::

    from limner.hooks import hookimpl

    @hookimpl
    def limner_losses():
        return {"least-squares": "limner_glow.losses:LeastSquares"}

Components are returned by name, as classes or, better, as import strings "module:Class": listing what is installed
then imports nothing heavy.

The module may state `API_VERSION = "1.3"`, the version of these hooks and of the names in `limner` that it was written
for. Within one major version, nothing documented is removed or changes its meaning; additions raise the minor version.
A plugin therefore works with any Limner of the same major and the same or a higher minor version. With any other it is
left out, with a message that says why.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from limner.models.model import Model
    from limner.models.report import Report
    from limner.training.loop import Run

GROUP = "limner"
"""The entry-point group, and the project name of the hooks."""

API_VERSION = "1.5"
"""The version of the hooks and of the names in `limner`, major and minor. 1.1 added `DivergedError`, `Optimizer`,
`RealImages`, `coco_index`, `resize`, `to_bytes` and `to_float`, and the attribute `renamed_options` of components.
1.2 added `ImageStream`, `StreamedImage` and `Dataset.stream`. 1.3 added the hooks `limner_trackers`,
`limner_training_failed` and `limner_model_evaluated`, and `TextEncoder.fit`. 1.4 added the hook
`limner_league_entries` and `shell_quote`. 1.5 added `other_captions` of a `Batch` and of a `Step`."""

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
    """Data sets of captioned images: subclasses of `limner.Dataset`."""


@hookspec
def limner_metrics() -> Named:  # pyright: ignore[reportReturnType]
    """Metrics: subclasses of `limner.Metric`."""


@hookspec
def limner_optimizers() -> Named:  # pyright: ignore[reportReturnType]
    """Optimizers of the players: subclasses of `limner.Optimizer`."""


@hookspec
def limner_trackers() -> Named:  # pyright: ignore[reportReturnType]
    """Trackers, which record a training elsewhere: classes whose objects have training hooks.

    A recipe names them in `training.trackers`. Each is built with the recipe, before any work starts, and its hooks are
    called in the first process only.
    """


@hookspec
def limner_recipes() -> Mapping[str, str]:  # pyright: ignore[reportReturnType]
    """Recipes by name, each as "package:path/in/package.toml"."""


@hookspec
def limner_models() -> Mapping[str, str]:  # pyright: ignore[reportReturnType]
    """Trained models by name, each as "package:path/of/its/run/folder"."""


@hookspec
def limner_league_entries() -> Mapping[str, str]:  # pyright: ignore[reportReturnType]
    """Recipes that `limner league` compares: the name of each, and the name of its league, such as "scenes".

    All recipes of a league share their data, image size, batch size and metrics.
    """


@hookspec
def limner_data_commands() -> Mapping[str, str]:  # pyright: ignore[reportReturnType]
    """Commands that manage data, run as `limner data NAME`: import strings of a `typer.Typer`, by name.

    The module is imported when its command runs, and by `limner data --help`, so it should import nothing heavy.
    """


@hookspec
def limner_training_started(run: "Run") -> None:
    """Everything is built, and training is about to start."""


@hookspec
def limner_step_finished(run: "Run", losses: Mapping[str, float]) -> None:
    """Step `run.step` is finished. `losses` holds every loss by "name/player", and both players' totals.

    Reading a loss waits until a GPU has computed the step, so read them only now and then.
    """


@hookspec
def limner_samples_drawn(run: "Run", images: object, prompts: list[str]) -> None:
    """Images of the preview prompts were generated: `images` is a float tensor [N, 3, H, W] in [-1, 1]."""


@hookspec
def limner_checkpoint_saved(run: "Run", folder: object) -> None:
    """The run's weights were written to `folder` (a `pathlib.Path`)."""


@hookspec
def limner_training_finished(run: "Run") -> None:
    """The last step is finished, or training was interrupted; the weights are saved."""


@hookspec
def limner_training_failed(run: "Run") -> None:
    """An error ended the training, so that `limner_training_finished` will not be called."""


@hookspec
def limner_model_evaluated(model: "Model", report: "Report") -> None:
    """A model was measured as its recipe says. `report.scores` holds the scores by name."""
