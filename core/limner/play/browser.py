"""`limner demo`: a trained model in the browser, with Gradio. No request leaves the machine unless it is asked for."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from limner.errors import LimnerError
from limner.play import pages
from limner.play.studio import CANDIDATES, FREE, MOST, Sheet, Studio

if TYPE_CHECKING:
    from gradio import Blocks

LOOPBACK = "127.0.0.1"
CSS = "footer {display: none !important} .gradio-container {max-width: 1040px !important; margin: auto !important}"


def import_gradio() -> Any:
    """Gradio, which reports nothing to anybody.

    Raises:
        LimnerError: if it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ImportError:
        raise LimnerError(
            'The demo needs Gradio, which is not installed; pip install "limner[demo]" brings it.'
        ) from None
    return gradio


class Demo:
    """What the page answers when its controls are used. Each method returns HTML; for bad input, one sentence."""

    def __init__(self, studio: Studio):
        self.studio = studio

    def mark(self, prompt: str | None) -> str:
        """The prompt with its unknown words marked."""
        return _answer(lambda: pages.marked(self.studio.mark(prompt or "")))

    def paint(self, prompt: str | None, *controls: Any) -> tuple[str, Sheet | None]:
        """The pictures, and the sheet that the other methods need. The controls are those of `Studio.paint`."""
        try:
            sheet = self.studio.paint(prompt or "", *controls)
        except LimnerError as error:
            return pages.note(error), None
        return pages.grid(sheet, self.studio.names), sheet

    def look(self, sheet: Sheet | None, picture: int | None, word: int | None) -> str:
        """Where the generator attended for a word."""
        if sheet is None or word is None or not 0 <= word < len(sheet.words):
            return ""
        return _answer(lambda: pages.maps(self.studio.look(sheet, _place(sheet, picture), word)))

    def stages(self, sheet: Sheet | None, picture: int | None) -> str:
        """A picture at every stage of the generator."""
        if sheet is None:
            return ""
        return _answer(lambda: pages.maps(self.studio.stages(sheet, _place(sheet, picture))))

    def between(self, sheet: Sheet | None, picture: int | None, prompt: str | None, seed: object) -> str:
        """The way from a picture to that of another prompt and seed."""
        if sheet is None:
            return pages.note("There is no picture to start from; paint one first.")
        return _answer(lambda: pages.row(self.studio.between(sheet, _place(sheet, picture), prompt or "", seed)))


def _answer(make: Callable[[], str]) -> str:
    try:
        return make()
    except LimnerError as error:
        return pages.note(error)


def _place(sheet: Sheet, picture: int | None) -> int:
    return min(max((picture or 1) - 1, 0), len(sheet.pictures) - 1)


def build_page(studio: Studio, title: str) -> "Blocks":
    """The page of the demo.

    Raises:
        LimnerError: if Gradio is not installed.
    """
    gr, demo = import_gradio(), Demo(studio)
    private = {"api_visibility": "private", "show_progress": "hidden"}
    with gr.Blocks(title=title, analytics_enabled=False, fill_width=True) as blocks:
        sheet = gr.State(None)
        gr.HTML(pages.page(f"<h1>{pages.escape(title)}</h1>"))
        first = studio.suggestions[0] if studio.suggestions else ""
        with gr.Row():
            prompt = gr.Textbox(
                first,
                label="Prompt",
                placeholder="Type a prompt",
                max_lines=3,
                scale=3,
                min_width=300,
                elem_id="prompt",
            )
            picked = gr.Dropdown(
                studio.suggestions, value=None, label="Or pick one", visible=bool(studio.suggestions), scale=2
            )
        marks = gr.HTML(demo.mark(first) if first else "", elem_id="marks")
        with gr.Row():
            seed = gr.Number(0, label="Seed", precision=0, min_width=110, elem_id="seed")
            truncation = gr.Slider(0.1, FREE, studio.usual_truncation, step=0.1, min_width=150, label="Truncation")
            count = gr.Slider(1, MOST, 4, step=1, label="Pictures", min_width=150)
            best_of = gr.Slider(1, CANDIDATES, 1, step=1, label="Best of", min_width=150, visible=studio.can_choose)
            together = [("all together", -1), *((name, place) for place, name in enumerate(studio.names))]
            member = gr.Dropdown(together, value=-1, label="Painter", visible=len(studio.members) > 1, min_width=150)
        paint = gr.Button("Paint", variant="primary", elem_id="paint")
        grid = gr.HTML(elem_id="grid")
        picture = gr.Radio([1], value=1, label="Look closer at picture", elem_id="picture")
        with gr.Accordion("Attention: click a word to see where the generator looked", visible=studio.can_look):
            words = gr.Radio([], show_label=False, container=False, elem_id="words")
            maps = gr.HTML(elem_id="maps")
        with gr.Accordion("Every stage of the generator", visible=studio.has_stages):
            stages = gr.HTML(elem_id="stages")
        with gr.Accordion("Interpolation: the way to another prompt and seed", open=False):
            with gr.Row():
                other = gr.Textbox(label="To the prompt", placeholder="The same", scale=3, max_lines=3, elem_id="other")
                other_seed = gr.Number(1, label="and the seed", precision=0, min_width=110, elem_id="other-seed")
            go = gr.Button("Interpolate", elem_id="interpolate")
            between = gr.HTML(elem_id="between")

        def painted(*values: Any) -> tuple[Any, ...]:
            *controls, member = values
            html, made = demo.paint(*controls, None if member == -1 else member)
            told = pages.marked(made.parts) if made else ""
            choices = [(word, place) for place, word in enumerate(made.words)] if made else []
            places = list(range(1, len(made.pictures) + 1)) if made else [1]
            return (
                told,
                html,
                made,
                gr.Radio(choices, value=None),
                gr.Radio(places, value=1),
                "",
                demo.stages(made, 1),
                "",
            )

        controls = [prompt, seed, truncation, count, best_of, member]
        shown = [marks, grid, sheet, words, picture, maps, stages, between]
        prompt.change(demo.mark, prompt, marks, trigger_mode="always_last", **private)
        picked.input(lambda text: text or "", picked, prompt, **private).then(painted, controls, shown, **private)
        for start in (paint.click, prompt.submit, blocks.load):
            start(painted, controls, shown, **private)
        words.input(demo.look, [sheet, picture, words], maps, **private)
        picture.input(demo.look, [sheet, picture, words], maps, **private)
        picture.input(demo.stages, [sheet, picture], stages, **private)
        go.click(demo.between, [sheet, picture, other, other_seed], between, **private)
    return blocks


def serve(studio: Studio, title: str, port: int | None = None, share: bool = False, in_browser: bool = True) -> None:
    """Open the page on this machine, and serve it until Ctrl-C.

    Args:
        studio: what paints.
        title: of the page.
        port: of the server; by default the first free one from 7860.
        share: also give it a public address, through a tunnel of Gradio.
        in_browser: open it in the browser.

    Raises:
        LimnerError: if Gradio is not installed, or the port is taken.
    """
    blocks = build_page(studio, title)
    try:
        _, address, public = launch(blocks, port, share=share, inbrowser=in_browser)
    except OSError:
        place = "No port from 7860 to 7959 is free" if port is None else f"Port {port} is taken"
        raise LimnerError(f"{place}; choose another with --port.") from None
    print(f"The demo is at {address}. Ctrl-C ends it.", flush=True)
    if share:
        print(f"Its public address is {public}." if public else "It got no public address; check the connection.")
    blocks.block_thread()


def launch(blocks: "Blocks", port: int | None = None, **options: Any) -> tuple[Any, str, str | None]:
    """Serve a page from this machine without waiting; returns the server, and the local and the public address.

    The fonts are those of the system, so that nothing is fetched from elsewhere.
    """
    theme = import_gradio().themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    options |= {"server_name": LOOPBACK, "server_port": port, "theme": theme, "css": CSS, "footer_links": []}
    return blocks.launch(ssr_mode=False, quiet=True, prevent_thread_lock=True, **options)
