"""`limner.toy`: a two-dimensional GAN in a notebook, with controls."""

import asyncio
from dataclasses import replace
from typing import Any, get_args, get_type_hints

from limner.course.toy_game import ToyGame, ToySettings, settings_of
from limner.course.toy_picture import ToyPicture
from limner.errors import LimnerError

SITUATIONS: dict[str, dict[str, Any]] = {
    "healthy": {},
    "mode collapse": {"penalty": 0.0, "momentum": 0.95},
    "no pull": {"loss": "minimax", "penalty": 0.0, "generator_rate": 2e-4, "discriminator_rate": 1e-2}
    | {"discriminator_steps": 5},
    "Wasserstein": {"loss": "wasserstein", "discriminator_steps": 5},
    "plain descent": {"optimizer": "sgd", "generator_rate": 0.1, "discriminator_rate": 0.1},
}
"""Settings, apart from the defaults, that show one thing each. "healthy" goes on with the same networks, as a cure; the
others start again."""
PAUSE = 0.04
"""Seconds between two frames, in which the notebook answers to controls."""
_PLAYING: set["ToyView"] = set()


def toy(steps: int = 0, seed: int = 0, **settings: Any) -> "ToyView":
    """A GAN of points in the plane to play with: watch both players, change what they do, break and heal them.

    A new game pauses the others.

        limner.toy()
        limner.toy(steps=500, penalty=0.0, generator_rate=0.01)

    Args:
        steps: to train before the first picture.
        seed: of the weights, the data and the noise.
        settings: what the controls show at first, see `limner.course.toy_game.ToySettings`.

    Returns:
        The picture with its controls, which a notebook shows.

    Raises:
        LimnerError: for an unknown setting or a wrong value, or if ipywidgets is missing.
    """
    for playing in list(_PLAYING):  # a cell that is run again would leave one playing where nobody sees it
        playing.controls["play"].value = False
    view = ToyView(ToyGame(settings_of(settings), seed))
    view.advance(steps)
    return view


class ToyView:
    """A game with its picture and controls.

    Attributes:
        game: what is shown; it may also be stepped and changed from code, then `draw` shows it.
        controls: the widgets, by the name of the setting or of what they do.
        playing: whether the game runs.
    """

    def __init__(self, game: ToyGame):
        """
        Raises:
            LimnerError: if ipywidgets is missing.
        """
        try:
            import ipywidgets
        except ImportError:
            raise LimnerError('limner.toy needs ipywidgets: pip install "limner[lab]".') from None
        self.game, self.picture = game, ToyPicture()
        self.playing: asyncio.Task[None] | None = None
        self._setting = False
        self.image = ipywidgets.Image(format="png", layout={"max_width": "900px"})
        self.controls = _controls(ipywidgets, game.settings)
        named = self.controls
        named["play"].observe(self._play_or_pause, "value")
        named["step"].on_click(lambda _: self.advance(1))
        named["reset"].on_click(lambda _: self._reset())
        named["situation"].observe(lambda change: self._choose(change["new"]), "value")
        for name in get_type_hints(ToySettings):
            named[name].observe(self._change, "value")
        rows = [
            ["play", "step", "reset", "situation"],
            ["data", "loss", "optimizer"],
            ["generator_rate", "discriminator_rate"],
            ["momentum", "discriminator_steps"],
            ["penalty", "speed"],
        ]
        lines = [ipywidgets.HBox([named[name] for name in row], layout={"flex_flow": "wrap"}) for row in rows]
        self.box = ipywidgets.VBox([self.image, *lines])
        self.draw()

    def draw(self) -> None:
        """Show the game as it is now."""
        self.image.value = self.picture.png(self.game)

    def advance(self, steps: int) -> None:
        """Train that many steps, and show the result."""
        self.game.step(steps)
        self.draw()

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget, and the picture for where no widget can be shown."""
        shown: Any = self.box._repr_mimebundle_(**options)
        return {**shown, "image/png": bytes(self.image.value)}

    # --- what the controls do ---------------------------------------------------------------------------------------

    def _change(self, _: object) -> None:
        """Take over the settings of the controls."""
        if not self._setting:
            values = {name: self.controls[name].value for name in get_type_hints(ToySettings)}
            self.game.settings = replace(self.game.settings, **values)
            if not self.playing:
                self.draw()

    def _choose(self, situation: str) -> None:
        """Set all controls as the situation wants them, and start again unless it is a cure."""
        wanted = settings_of({"data": self.game.settings.data} | SITUATIONS[situation])
        self._setting = True
        for name in get_type_hints(ToySettings):
            self.controls[name].value = getattr(wanted, name)
        self._setting = False
        if SITUATIONS[situation]:
            self.game.reset()
        self._change(None)

    def _reset(self) -> None:
        self.game.reset()
        self.draw()

    def _play_or_pause(self, change: dict[str, Any]) -> None:
        button = self.controls["play"]
        if self.playing:
            self.playing.cancel()
            self.playing = None
        _PLAYING.discard(self)
        if change["new"]:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # nothing runs in the background outside a notebook
                self.advance(self.controls["speed"].value)
                button.value = False
                return
            self.playing = loop.create_task(self._play())
            _PLAYING.add(self)
        button.description, button.icon = ("pause", "pause") if change["new"] else ("play", "play")

    async def _play(self) -> None:
        """Train and draw until it is paused, and let the notebook answer in between."""
        while True:
            self.advance(self.controls["speed"].value)
            await asyncio.sleep(PAUSE)


def _controls(widgets: Any, settings: ToySettings) -> dict[str, Any]:
    """The controls, by name."""

    def pick(options: Any, name: str) -> Any:
        return widgets.Dropdown(options=options, description=name, layout={"width": "225px"})

    def slide(name: str, kind: Any = widgets.FloatLogSlider, **limits: Any) -> Any:
        style, layout = {"description_width": "125px"}, {"width": "390px"}
        return kind(description=name, continuous_update=False, style=style, layout=layout, **limits)

    hints = get_type_hints(ToySettings)
    whole = widgets.IntSlider
    controls = {
        "play": widgets.ToggleButton(description="play", icon="play", layout={"width": "90px"}),
        "step": widgets.Button(description="step", icon="step-forward", layout={"width": "90px"}),
        "reset": widgets.Button(description="reset", icon="refresh", layout={"width": "90px"}),
        "speed": slide("steps per frame", whole, min=1, max=50, value=10),
        "situation": pick(list(SITUATIONS), "situation"),
        **{name: pick(get_args(hints[name]), name) for name in ("data", "loss", "optimizer")},
        **{name: slide(name.replace("_", " "), min=-4, max=0) for name in ("generator_rate", "discriminator_rate")},
        "momentum": slide("momentum", widgets.FloatSlider, min=0, max=0.95, step=0.05),
        "penalty": slide("gradient penalty", widgets.FloatSlider, min=0, max=2, step=0.05),
        "discriminator_steps": slide("discriminator steps", whole, min=1, max=5),
    }
    for name in hints:
        controls[name].value = getattr(settings, name)
    return controls
