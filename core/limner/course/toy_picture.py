"""The picture of a two-dimensional GAN: the plane, the losses, and how many samples each mode has."""

from io import BytesIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from limner.course.toy_game import EDGE, EVEN, ToyGame

REAL, GENERATED = "#1b7f5c", "#8a3ffc"
"""The colors of real and of generated points, and of what the discriminator takes for them."""
ARROWS = 100
"""Samples that are drawn with an arrow."""
REACH = 0.6
"""Length of the longest arrow, in the plane; a pull of 1 has half of it."""


class ToyPicture:
    """Draws a game again and again into one figure, which no list of open figures knows.

    Left: real points, generated ones, the discriminator's field, and arrows that show where the generator's loss pulls
    the samples. Right: the losses over the last steps, and each mode's share of the samples.
    """

    def __init__(self, resolution: int = 90):
        """`resolution`: of the picture, in dots per inch; it is 9 x 4.6 inches large."""
        self.figure = Figure(figsize=(9, 4.6), dpi=resolution, layout="constrained")
        self.canvas, self.arranged = FigureCanvasAgg(self.figure), False
        axes = self.figure.subplot_mosaic("AB;AC", width_ratios=(1.25, 1))
        self.plane, self.curves, self.bars = axes["A"], axes["B"], axes["C"]
        colors = LinearSegmentedColormap.from_list("field", [GENERATED, "white", REAL])
        self.field = self.plane.imshow(
            np.full((2, 2), 0.5),
            cmap=colors,
            vmin=0.15,  # scores close to 0 are to be seen, too
            vmax=0.85,
            alpha=0.6,
            extent=(-EDGE, EDGE, -EDGE, EDGE),
            origin="lower",
            interpolation="bilinear",
        )
        (self.real,) = self.plane.plot([], [], ".", color=REAL, markersize=4, label="real")
        (self.generated,) = self.plane.plot([], [], ".", color=GENERATED, markersize=4, label="generated")
        nothing = np.zeros(ARROWS)
        self.arrows = self.plane.quiver(
            nothing, nothing, nothing, nothing, angles="xy", scale_units="xy", scale=1, color=GENERATED, width=0.003
        )
        self.plane.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE), xticks=[], yticks=[])
        self.plane.legend(loc="upper right", framealpha=0.9)
        (self.of_discriminator,) = self.curves.plot([], [], color=REAL, linewidth=1, label="discriminator")
        (self.of_generator,) = self.curves.plot([], [], color=GENERATED, linewidth=1, label="generator")
        self.curves.set_title("losses", fontsize=10)
        self.curves.legend(loc="upper left", fontsize=8)

    def png(self, game: ToyGame) -> bytes:
        """The picture of a game as it is now."""
        real, samples, pull = game.real().numpy(), game.samples().numpy(), game.pull()[:ARROWS].numpy()
        self.field.set_data(game.field().numpy())
        self.real.set_data(*real.T)
        self.generated.set_data(*samples.T)
        length = np.linalg.norm(pull, axis=1, keepdims=True)
        pull = pull * REACH / (1 + length)  # a short pull stays short, a long one stays in the plane
        self.arrows.set_offsets(samples[:ARROWS])
        self.arrows.set_UVC(*pull.T)
        shares = game.shares().numpy()
        found = f"{game.covered()} of {len(shares)} modes covered, {shares.sum():.0%} near a mode"
        if not np.isfinite(samples).all():
            found = "the training diverged; reset it, with lower rates"
        self.plane.set_title(f"step {game.steps:,}: {found}", fontsize=10)
        self._draw_losses(game)
        self._draw_shares(shares)
        self.canvas.draw()
        if not self.arranged:  # the first picture places the axes, and the others leave them there
            self.figure.set_layout_engine("none")
            self.arranged = True
        file = BytesIO()
        Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB").save(file, "PNG", compress_level=3)
        return file.getvalue()

    def _draw_losses(self, game: ToyGame, shown: int = 1000) -> None:
        """The losses of the last steps, at most 250 points of each."""
        last = game.history[-shown:]
        first, every = game.steps - len(last) + 1, max(1, len(last) // 250)
        steps = range(first, game.steps + 1, every)
        for line, values in zip((self.of_discriminator, self.of_generator), zip(*last[::every]) if last else ((), ())):
            line.set_data(steps[: len(values)], values)
        self.curves.relim()
        self.curves.autoscale()

    def _draw_shares(self, shares: np.ndarray) -> None:
        """A bar for each mode, and lines for an even split and for what counts as covered."""
        count = len(shares)
        if len(self.bars.patches) != count:  # other data; drawing new axes at each frame would take longest
            self.bars.clear()
            self.bars.bar(range(1, count + 1), shares)
            self.bars.axhline(1 / count, color="gray", linewidth=1, label="even split")
            self.bars.axhline(EVEN / count, color="gray", linewidth=1, linestyle=":", label="covered")
            self.bars.set(xticks=range(1, count + 1), title="share of the samples at each mode")
            self.bars.title.set_fontsize(10)
            self.bars.legend(loc="upper right", fontsize=8)
        for bar, share in zip(self.bars.patches, shares):
            bar.set(height=share, color=GENERATED if share >= EVEN / count else "lightgray")
        self.bars.set_ylim(0, max(2.2 / count, shares.max() * 1.05))
