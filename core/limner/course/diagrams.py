"""The diagram of each lesson: the parts of a text-to-image GAN, with those in color that the lesson is about."""

from typing import TYPE_CHECKING

from limner.errors import LimnerError

if TYPE_CHECKING:
    from limner.course.boxes_and_arrows import Arrow, Diagram, Place

GAME: "dict[str, Place]" = {
    "caption": (0, 1),
    "text encoder": (1.1, 1),
    "noise": (1.1, 0),
    "generator": (2.2, 0),
    "image": (3.2, 0),
    "real image": (3.2, 2),
    "discriminator": (4.3, 1),
    "score": (5.4, 1),
}
"""The parts of a text-to-image GAN."""
PLAY: "list[Arrow]" = [
    ("caption", "text encoder"),
    ("text encoder", "generator"),
    ("text encoder", "discriminator", "sentence"),
    ("noise", "generator"),
    ("generator", "image"),
    ("image", "discriminator"),
    ("real image", "discriminator"),
    ("discriminator", "score"),
]
"""What each part gives to the others."""
PLAYERS = ["text encoder", "generator", "discriminator"]
LOSSES: "dict[str, Place]" = {"loss of the\ndiscriminator": (6.7, 1.5), "loss of the\ngenerator": (6.7, 0.5)}

PARTS: "dict[str, tuple[dict[str, Place], list[Arrow], list[str]]]" = {
    "quickstart": (
        GAME | {"judge": (4.3, 0), "right or wrong": (5.6, 0)},
        [*PLAY, ("image", "judge"), ("judge", "right or wrong")],
        PLAYERS,
    ),
    "sixty-lines": (GAME, PLAY, PLAYERS),
    "adversarial-training": (
        GAME | LOSSES | {"wrong caption": (0, 2)},
        [*PLAY, ("wrong caption", "text encoder"), *(("score", loss) for loss in LOSSES)],
        ["wrong caption", "discriminator", "score", *LOSSES],
    ),
    "attention": (
        {
            "caption": (0, 1),
            "text encoder": (1.1, 1),
            "words": (2.3, 2),
            "sentence": (2.3, 1),
            "noise": (2.3, 0),
            "feature map": (3.6, 0.5),
            "attention": (4.4, 2),
            "next level": (5.2, 0.5),
            "image": (6.3, 0.5),
        },
        [
            ("caption", "text encoder"),
            ("text encoder", "words"),
            ("text encoder", "sentence"),
            ("sentence", "feature map"),
            ("noise", "feature map"),
            ("words", "attention", "a vector each"),
            ("feature map", "attention", "a vector for each place"),
            ("attention", "next level"),
            ("feature map", "next level"),
            ("next level", "image"),
        ],
        ["words", "attention"],
    ),
    "hierarchy": (
        {
            "sentence": (0, 2.5),
            "noise": (0, 1.5),
            "initial stage": (1.3, 2),
            "refinement": (2.9, 2),
            "super-resolution": (4.7, 2),
            "image, 32 px": (1.3, 1),
            "image, 64 px": (2.9, 1),
            "image, 128 px": (4.7, 1),
            "discriminator": (2.9, 0),
        },
        [
            ("sentence", "initial stage"),
            ("noise", "initial stage"),
            ("initial stage", "refinement"),
            ("refinement", "super-resolution"),
            ("initial stage", "image, 32 px"),
            ("refinement", "image, 64 px"),
            ("super-resolution", "image, 128 px"),
            *((f"image, {size} px", "discriminator") for size in (32, 64, 128)),
        ],
        ["initial stage", "refinement", "super-resolution"],
    ),
    "consistency": (
        {
            "caption": (0, 2),
            "text encoder": (1.1, 2),
            "noise": (1.1, 1),
            "generator": (2.2, 1),
            "image": (3.2, 1),
            "discriminator": (4.6, 2),
            "matching": (4.6, 1),
            "captioner": (4.6, 0),
            "Do the two fit?": (6.5, 2),
            "Which caption fits best?": (6.5, 1),
            "Which words does it show?": (6.5, 0),
        },
        [
            ("caption", "text encoder"),
            ("text encoder", "generator"),
            ("noise", "generator"),
            ("generator", "image"),
            ("text encoder", "discriminator", "sentence"),
            ("image", "discriminator"),
            ("image", "matching"),
            ("image", "captioner"),
            ("discriminator", "Do the two fit?"),
            ("matching", "Which caption fits best?"),
            ("captioner", "Which words does it show?"),
        ],
        ["discriminator", "matching", "captioner"],
    ),
    "diversity": (
        {
            "caption": (0, 1),
            "text encoder": (1.1, 1),
            "noise 1": (1.1, 2),
            "noise 2": (1.1, 0),
            "generator": (2.3, 1),
            "image 1": (3.4, 2),
            "image 2": (3.4, 0),
            "discriminator": (4.6, 1),
            "score": (5.8, 1.5),
            "noise, read back": (6.1, 0.5),
        },
        [
            ("caption", "text encoder"),
            ("text encoder", "generator", "same"),
            ("noise 1", "generator"),
            ("noise 2", "generator"),
            ("generator", "image 1"),
            ("generator", "image 2"),
            ("image 1", "discriminator"),
            ("image 2", "discriminator"),
            ("discriminator", "score"),
            ("discriminator", "noise, read back"),
        ],
        ["noise 1", "noise 2", "image 1", "image 2", "noise, read back"],
    ),
    "real-data": (
        {
            "captions.json": (0, 1),
            "tokenizer": (1.4, 1),
            "token ids, mask": (2.8, 1),
            "image files": (0, 0),
            "decode, resize": (1.4, 0),
            "pixels": (2.8, 0),
            "LSTM or BERT": (4.3, 1),
            "generator": (5.7, 1),
            "discriminator": (5.7, 0),
        },
        [
            ("captions.json", "tokenizer"),
            ("tokenizer", "token ids, mask"),
            ("token ids, mask", "LSTM or BERT"),
            ("LSTM or BERT", "generator"),
            ("LSTM or BERT", "discriminator"),
            ("image files", "decode, resize"),
            ("decode, resize", "pixels"),
            ("pixels", "discriminator"),
        ],
        ["captions.json", "tokenizer", "image files", "decode, resize", "LSTM or BERT"],
    ),
    "plugin": (
        {
            "your package": (0, 0),
            "entry point": (1.3, 0),
            "plugin host": (2.6, 0),
            "recipe": (2.6, 1),
            "your loss": (3.9, 0),
            "training": (5, 0),
            "judge": (6, 0),
        },
        [
            ("your package", "entry point"),
            ("entry point", "plugin host"),
            ("plugin host", "your loss"),
            ("recipe", "your loss", "name, options"),
            ("your loss", "training"),
            ("training", "judge"),
        ],
        ["your package", "entry point", "your loss"],
    ),
    "optimizers": (
        {
            "losses": (0, 0.5),
            "gradients": (1, 0.5),
            "of convolutions": (2.3, 1),
            "of all others": (2.3, 0),
            "Muon": (3.6, 1),
            "Adam": (3.6, 0),
            "new weights": (4.8, 0.5),
        },
        [
            ("losses", "gradients"),
            ("gradients", "of convolutions"),
            ("gradients", "of all others"),
            ("of convolutions", "Muon"),
            ("of all others", "Adam"),
            ("Muon", "new weights"),
            ("Adam", "new weights"),
        ],
        ["Muon", "Adam"],
    ),
    "capstone": (
        {
            "question": (0, 0.5),
            "plugin": (1.1, 1),
            "recipe": (1.1, 0),
            "compare variants,\nseveral seeds each": (2.7, 0.5),
            "mean and spread": (4.4, 1),
            "pictures": (4.4, 0),
            "report": (5.7, 0.5),
        },
        [
            ("question", "plugin"),
            ("question", "recipe"),
            ("plugin", "compare variants,\nseveral seeds each"),
            ("recipe", "compare variants,\nseveral seeds each"),
            ("compare variants,\nseveral seeds each", "mean and spread"),
            ("compare variants,\nseveral seeds each", "pictures"),
            ("mean and spread", "report"),
            ("pictures", "report"),
        ],
        ["question", "report"],
    ),
    "landmarks": (
        {
            "recipes of\nlandmark models": (0, 1),
            "your recipe": (0, 0),
            "equal steps, data,\nseeds and batches": (2, 0.5),
            "one judge": (3.8, 1),
            "cost": (3.8, 0),
            "table, chart,\nintervals": (5.2, 0.5),
        },
        [
            ("recipes of\nlandmark models", "equal steps, data,\nseeds and batches"),
            ("your recipe", "equal steps, data,\nseeds and batches"),
            ("equal steps, data,\nseeds and batches", "one judge"),
            ("equal steps, data,\nseeds and batches", "cost"),
            ("one judge", "table, chart,\nintervals"),
            ("cost", "table, chart,\nintervals"),
        ],
        ["recipes of\nlandmark models", "one judge"],
    ),
}
"""For each lesson its boxes, its arrows, and the boxes in color."""


def diagram(lesson: str) -> "Diagram":
    """The diagram of a lesson, such as "attention"; it shows itself in a notebook.

    Raises:
        LimnerError: for a lesson that has none.
    """
    from limner.course.boxes_and_arrows import Diagram

    if lesson not in PARTS:
        raise LimnerError(f"There is no diagram '{lesson}'; choose one of {', '.join(PARTS)}.")
    return Diagram(*PARTS[lesson])
