"""A progress bar over several trainings."""

from typing import TYPE_CHECKING

from limner.hooks import hookimpl

if TYPE_CHECKING:
    from limner.training.loop import Run


class ComparisonProgress:
    """One progress bar over several trainings in a row. It also advances during each of them."""

    def __init__(self, done: int, total: int, quiet: bool = False):
        """`done` of `total` trainings are finished already."""
        from tqdm.auto import tqdm  # a widget in a notebook; it warns when imported in one that has no widgets

        form = "{l_bar}{bar}| {n:.1f} of {total} runs [{elapsed}<{remaining}]{postfix}"
        self.bar = tqdm(total=total, initial=done, desc="comparing", bar_format=form, disable=quiet, mininterval=0.5)
        self.done = done

    def begin(self, name: str) -> None:
        """Show the name of the training that starts now."""
        self.bar.set_postfix_str(name)

    def end(self) -> None:
        """Count the training as finished."""
        self.done += 1
        self._move_to(float(self.done))

    def close(self) -> None:
        """Leave the bar as it is; nothing more follows."""
        self.bar.close()

    def _move_to(self, place: float) -> None:
        if not self.bar.disable:
            self.bar.update(place - self.bar.n)

    @hookimpl
    def limner_step_finished(self, run: "Run") -> None:
        self._move_to(self.done + run.progress)
