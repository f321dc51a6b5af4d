"""The table of all kinds of components that plugins provide: hook, interface, and place in a recipe."""

from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Example:
    """The component that `limner new-plugin` writes for a kind; `$name` stands for its name."""

    summary: str  # one sentence
    use: str  # the recipe change for --set
    snippet: str  # the same as TOML


@dataclass(frozen=True)
class Kind:
    """One kind of component.

    `name` is its name in recipes and messages. Recipes, models, league entries and data commands are not classes and
    have no interface; trackers are classes of training hooks and need none.
    """

    name: str
    hook: str  # the function in `limner.hooks` by which plugins provide components of this kind
    interface_name: str = ""  # a class in `limner.interfaces`
    table: str = ""  # the recipe's table for such a component; {} is its name
    example: Example | None = None

    @property
    def interface(self) -> type:
        """The base class of every component of this kind. Imports torch."""
        return getattr(import_module("limner.interfaces"), self.interface_name)

    @property
    def plural(self) -> str:
        """The plural of the name: "losses", "data commands"."""
        return self.hook.removeprefix("limner_").replace("_", " ")


_STAGES = "[{name='initial', size=16, channels=[64, 48, 32]}, {name='$name'}]"

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "encoder",
            "limner_encoders",
            "TextEncoder",
            "[encoder]",
            Example("A text encoder that averages the words.", "encoder=$name", '[encoder]\nname = "$name"'),
        ),
        Kind(
            "generator",
            "limner_generators",
            "Generator",
            "[generator]",
            Example("A small convolutional generator.", "generator=$name", '[generator]\nname = "$name"'),
        ),
        Kind(
            "discriminator",
            "limner_discriminators",
            "Discriminator",
            "[discriminator]",
            Example("A small convolutional discriminator.", "discriminator=$name", '[discriminator]\nname = "$name"'),
        ),
        Kind(
            "loss",
            "limner_losses",
            "Loss",
            "[losses.{}]",
            Example(
                "A loss that makes generated images smoother.",
                "losses.$name.weight=0.1",
                "[losses.$name]\nweight = 0.1",
            ),
        ),
        Kind(
            "attention",
            "limner_attentions",
            "Attention",
            "[generator.attention]",
            Example(
                "Attention that adds the mean of the words to every position.",
                "generator.attention=$name",
                '[generator]\nattention = "$name"',
            ),
        ),
        Kind(
            "stage",
            "limner_stages",
            "Stage",
            "[[generator.stages]]",
            Example(
                "A stage that doubles the resolution of the one before.",
                f"generator={{name='staged', stages={_STAGES}}}",
                f'[generator]\nname = "staged"\nstages = {_STAGES}'.replace("'", '"'),
            ),
        ),
        Kind(
            "dataset",
            "limner_datasets",
            "Dataset",
            "[data]",
            Example("Captioned images of stripes, drawn on demand.", "data=$name", '[data]\nname = "$name"'),
        ),
        Kind(
            "metric",
            "limner_metrics",
            "Metric",
            "[metrics.{}]",
            Example("A metric of how sharp generated images are.", "metrics.$name={}", "[metrics.$name]"),
        ),
        Kind(
            "optimizer",
            "limner_optimizers",
            "Optimizer",
            "[training.optimizer]",
            Example(
                "Gradient descent with momentum.",
                "training.optimizer=$name",
                '[training]\noptimizer = "$name"',
            ),
        ),
        Kind("tracker", "limner_trackers", table="[[training.trackers]]"),
        Kind("recipe", "limner_recipes"),
        Kind("model", "limner_models"),
        Kind("league entry", "limner_league_entries"),
        Kind("data command", "limner_data_commands"),
    )
}

COMPONENTS: dict[str, Kind] = {name: kind for name, kind in KINDS.items() if kind.interface_name}
"""The kinds that are classes, with an interface."""


def kind_of(interface: type) -> str:
    """The name of the kind that has this interface.

    Raises:
        KeyError: if the class is not an interface of a kind.
    """
    by_interface = {kind.interface_name: name for name, kind in COMPONENTS.items()}
    return by_interface[interface.__name__]
