"""`limner.playground`: a trained model to play with in a notebook."""

from typing import TYPE_CHECKING

from limner.errors import LimnerError
from limner.models.painter import TrainedPainter
from limner.play.studio import Studio

if TYPE_CHECKING:
    from limner.play.widgets import Playground


def playground(model: TrainedPainter) -> "Playground":
    """A trained model, or an ensemble, to play with in a notebook.

    Type a prompt and press Enter, or pick one. Unknown words are marked. Under each picture is what the captioner reads
    and what the judge says, if the model and its data have them. A click on a word shows where the generator attended
    for it. Further tabs show the stages of a generator, and the way to another prompt and seed.

    Raises:
        LimnerError: if ipywidgets is not installed.
    """
    try:
        from limner.play.widgets import Playground
    except ImportError:
        raise LimnerError(
            'The playground needs ipywidgets, which is not installed; pip install "limner[lab]" brings it.'
        ) from None
    return Playground(Studio(model))
