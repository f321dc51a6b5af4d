"""The widgets of the playground. Importing this needs ipywidgets."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from limner.errors import LimnerError
from limner.models.pictures import Pictures, png_of
from limner.play import pages
from limner.play.studio import CANDIDATES, FREE, LARGEST_SEED, MOST, Sheet, Studio

WIDE = {"description_width": "initial"}


class Playground(widgets.VBox):
    """The controls and what they show. Where a notebook is only read, a picture of the first sheet stands in."""

    def __init__(self, studio: Studio):
        super().__init__()
        self.studio = studio
        self.sheet: Sheet | None = None
        first = studio.suggestions[0] if studio.suggestions else ""
        line, part = widgets.Layout(width="auto"), widgets.Layout(width="auto", flex="1 1 150px")
        self.prompt = widgets.Text(
            first, placeholder="Type a prompt", description="Prompt", layout=line, continuous_update=False
        )
        self.picked = widgets.Dropdown(
            options=[("", ""), *((text, text) for text in studio.suggestions)], layout=line, description="Or pick one"
        )
        self.seed = widgets.BoundedIntText(0, 0, LARGEST_SEED, description="Seed", layout=part, style=WIDE)
        self.truncation = widgets.FloatSlider(
            studio.usual_truncation, min=0.1, max=FREE, step=0.1, description="Truncation", layout=part, style=WIDE,
            tooltip=f"Keep the noise within ± this number; {FREE:g} does not change it.", continuous_update=False,
        )  # fmt: skip
        self.count = widgets.IntSlider(4, 1, MOST, description="Pictures", layout=part, style=WIDE)
        self.best_of = widgets.IntSlider(1, 1, CANDIDATES, description="Best of", layout=part, style=WIDE)
        everyone = [("All together", None), *((name, place) for place, name in enumerate(studio.names))]
        self.member = widgets.Dropdown(options=everyone, description="Painter", layout=part, style=WIDE)
        self.paint = widgets.Button(
            description="Paint", button_style="primary", icon="paint-brush", layout=widgets.Layout(width="90px")
        )
        self.words = widgets.ToggleButtons(options=[], style={"button_width": "auto"})
        self.picture = widgets.IntSlider(1, 1, 1, description="Picture", style=WIDE)
        self.other_prompt = widgets.Text("", placeholder="The same prompt", description="To prompt", layout=line)
        self.other_seed = widgets.BoundedIntText(1, 0, LARGEST_SEED, description="and seed", style=WIDE)
        self.go = widgets.Button(description="Interpolate")
        self.marks, self.grid, self.maps, self.stages, self.between = (widgets.HTML() for _ in range(5))
        self.children = self._arranged()
        self._connect()
        self.on_paint()

    def _arranged(self) -> list[widgets.Widget]:
        """All widgets that this model can use."""
        studio = self.studio
        row = widgets.Layout(flex_flow="row wrap", align_items="center")
        controls = [self.seed, self.truncation, self.count]
        controls += [self.best_of] if studio.can_choose else []
        controls += [self.member] if len(studio.members) > 1 else []
        tabs: dict[str, list[Any]] = {"Attention": [self.words, self.maps]} if studio.can_look else {}
        if studio.has_stages:
            tabs["Stages"] = [self.stages]
        tabs["Interpolation"] = [self.other_prompt, widgets.HBox([self.other_seed, self.go], layout=row), self.between]
        closer = widgets.Tab([widgets.VBox(inner) for inner in tabs.values()], titles=list(tabs))
        picks = [self.picked] if studio.suggestions else []
        top = [self.prompt, *picks, widgets.HBox([*controls, self.paint], layout=row)]
        return [*top, self.marks, self.grid, self.picture, closer]

    def _connect(self) -> None:
        self.prompt.observe(lambda _: self.on_paint(), "value")
        self.picked.observe(lambda change: self.on_pick(change["new"]), "value")
        self.paint.on_click(lambda _: self.on_paint())
        self.go.on_click(lambda _: self.on_interpolate())
        for control in (self.words, self.picture):
            control.observe(lambda _: self.on_look(), "value")

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        shown: dict[str, Any] = super()._repr_mimebundle_(**kwargs) or {}
        if self.sheet is None:
            return shown
        pictures = Pictures(
            [painted.image for painted in self.sheet.pictures], [self.sheet.prompt] * len(self.sheet.pictures)
        )
        return {**shown, "image/png": b64encode(png_of(pictures.grid())).decode()}

    # --- what happens ----------------------------------------------------------------------------------------------

    def on_pick(self, prompt: str) -> None:
        """Take over a prompt that was picked."""
        if prompt:
            self.prompt.value = prompt

    def on_paint(self) -> None:
        """Paint the prompt with the controls as they are."""
        self.sheet = None

        def painted() -> str:
            self.sheet = self.studio.paint(
                self.prompt.value,
                self.seed.value,
                self.truncation.value,
                self.count.value,
                self.best_of.value,
                self.member.value if len(self.studio.members) > 1 else None,
            )
            return pages.grid(self.sheet, self.studio.names)

        self._show(self.grid, painted)
        self.marks.value = pages.marked(self.sheet.parts) if self.sheet else ""
        self.maps.value = self.stages.value = self.between.value = ""
        if self.sheet is None:
            return
        self.picture.max = len(self.sheet.pictures)
        words = [(text, place) for place, text in enumerate(self.sheet.words)]
        if self.words.options != tuple(words):
            self.words.options = words
            self.words.value = max(words, key=lambda word: len(word[0]))[1]  # the longest says more than "a"
        self.on_look()

    def on_look(self) -> None:
        """Show the attention of the chosen word, and the stages of the chosen picture."""
        place, word = self.picture.value - 1, self.words.value
        if self.studio.can_look and word is not None:
            self._show_of_sheet(self.maps, lambda sheet: pages.maps(self.studio.look(sheet, place, word)))
        if self.studio.has_stages:
            self._show_of_sheet(self.stages, lambda sheet: pages.maps(self.studio.stages(sheet, place)))

    def on_interpolate(self) -> None:
        """Show the way from the chosen picture to another prompt and seed."""
        place, prompt, seed = self.picture.value - 1, self.other_prompt.value, self.other_seed.value
        self._show_of_sheet(self.between, lambda sheet: pages.row(self.studio.between(sheet, place, prompt, seed)))

    def _show_of_sheet(self, place: Any, make: Callable[[Sheet], str]) -> None:
        sheet = self.sheet
        if sheet is not None:
            self._show(place, lambda: make(sheet))

    def _show(self, place: Any, make: Callable[[], str]) -> None:
        """Show what `make` returns; for bad input its sentence."""
        try:
            place.value = make()
        except LimnerError as error:
            place.value = pages.note(error)
