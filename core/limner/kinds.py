"""Every kind of component that a plugin can bring, in one table: its hook, its interface, its place in a recipe."""

from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Example:
    """A first component of a kind, as `limner new-plugin` writes it; `$name` stands for the component's name."""

    summary: str  # what it is, in a sentence
    use: str  # as a change of a recipe: what stands after --set
    snippet: str  # in a recipe


@dataclass(frozen=True)
class Kind:
    """One kind of component.

    `name` is what recipes and messages call it. Recipes and data commands are no classes: they have no interface.
    """

    name: str
    hook: str  # of `limner.hooks`, by which plugins bring components of this kind
    interface_name: str = ""  # of a class of `limner.interfaces`
    table: str = ""  # where in a recipe such a component stands; {} is its name
    example: Example | None = None

    @property
    def interface(self) -> type:
        """The class that every component of this kind extends. This imports torch."""
        return getattr(import_module("limner.interfaces"), self.interface_name)

    @property
    def plural(self) -> str:
        """The plural of the name, as the hook has it: "losses", "data commands"."""
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
            Example("A text encoder that takes the mean of the words.", "encoder=$name", '[encoder]\nname = "$name"'),
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
                "A loss that asks the generator for smooth pictures.",
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
                "A stage that paints at twice the resolution of the one before.",
                f"generator={{name='staged', stages={_STAGES}}}",
                f'[generator]\nname = "staged"\nstages = {_STAGES}'.replace("'", '"'),
            ),
        ),
        Kind(
            "dataset",
            "limner_datasets",
            "Dataset",
            "[data]",
            Example("Captioned images of stripes, drawn when they are needed.", "data=$name", '[data]\nname = "$name"'),
        ),
        Kind(
            "metric",
            "limner_metrics",
            "Metric",
            "[metrics.{}]",
            Example("A metric of how sharp painted images are.", "metrics.$name={}", "[metrics.$name]"),
        ),
        Kind("recipe", "limner_recipes"),
        Kind("data command", "limner_data_commands"),
    )
}

COMPONENTS: dict[str, Kind] = {name: kind for name, kind in KINDS.items() if kind.interface_name}
"""The kinds that are classes, and stand in recipes."""


def kind_of(interface: type) -> str:
    """The name of a kind of component, by its interface.

    Raises:
        KeyError: for a class that is no interface.
    """
    by_interface = {kind.interface_name: name for name, kind in COMPONENTS.items()}
    return by_interface[interface.__name__]
