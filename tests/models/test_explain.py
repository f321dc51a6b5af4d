"""Explanations: the weights of attention, word by word, and the picture that is made of them."""

import io
import re

import limner
import pytest
import torch
from limner import Attention, Explanation, LimnerError
from limner.models.explain import AttentionMap, name_of
from PIL import Image

PROMPT = "a red circle above a blue square"
WORDS = [(word, True) for word in ("a", "red", "circle")]


@pytest.fixture(scope="module")
def looking(tmp_path_factory, trained):
    """The run folder of a tiny model that looks at words in two ways."""
    folder = tmp_path_factory.mktemp("looking") / "run"
    looks = '[{name="multi-head", at=[4], heads=2}, {name="channel", at=[8]}]'
    limner.train(trained / "recipe.toml", folder, [f"generator.attention={looks}"], callbacks=[])
    return folder


@pytest.fixture(scope="module")
def model(looking):
    """That model."""
    return limner.load(looking)


# --- what is noted --------------------------------------------------------------------------------------------------


def test_an_explanation_has_image_words_and_maps_in_order(model):
    explanation = model.explain(PROMPT, seed=3)
    assert explanation.image.tobytes() == model.paint(PROMPT, seed=3)[0].tobytes()
    assert explanation.pieces == [("[CLS]", False), *[(word, True) for word in PROMPT.split()], ("[SEP]", False)]
    assert [(look.name, look.size) for look in explanation.attention_maps] == [
        ("Multi-head attention", 4),
        ("Channel attention", 8),
    ]
    assert [look.weights.shape for look in explanation.attention_maps] == [(2, 9, 4, 4), (1, 9, 8)]
    for look in explanation.attention_maps:
        shared_out = look.weights.sum(1)
        torch.testing.assert_close(shared_out, torch.ones_like(shared_out))


def test_a_word_that_the_tokenizer_lacks_is_still_a_word(model):
    with pytest.warns(UserWarning, match="квадрат"):
        pieces = model.explain("a red квадрат").pieces
    assert pieces == [("[CLS]", False), ("a", True), ("red", True), ("[UNK]", True), ("[SEP]", False)]


@pytest.mark.parametrize("prompt", [PROMPT, " "])
def test_afterwards_nothing_is_kept_any_more(model, prompt):
    try:
        model.explain(prompt)
    except LimnerError:
        assert prompt == " "
    modules = [module for module in model.modules() if isinstance(module, Attention)]
    model.paint(PROMPT)
    assert [(module.keep_weights, module.weights) for module in modules] == [(False, None)] * 2


def test_a_model_without_attention_says_how_to_add_some(trained):
    with pytest.raises(LimnerError, match=r"--set 'generator.attention=\"channel\"'. Installed: channel, multi-head"):
        limner.load(trained).explain(PROMPT)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MultiHeadAttention", "Multi-head attention"),
        ("SpatialAttention", "Spatial attention"),
        ("Glow", "Glow"),
        ("glow", "Glow"),
    ],
)
def test_modules_are_called_by_plain_words(name, words):
    assert name_of(type(name, (Attention,), {})) == words


# --- what is shown --------------------------------------------------------------------------------------------------


def explanation_of(weights, pieces=WORDS):
    """An explanation of a white image of 16 pixels, with one module."""
    return Explanation("a red circle", Image.new("RGB", (16, 16), "white"), pieces, [AttentionMap("Glow", 4, weights)])


def reds(picture):
    """The box around everything that is of a full weight's color; of no size where nothing is."""
    mask = [pixel[0] > 180 and pixel[1] < 60 and pixel[2] < 60 for pixel in picture.get_flattened_data()]
    return Image.frombytes("L", picture.size, bytes(255 * value for value in mask)).getbbox() or (0, 0, 0, 0)


def test_red_is_where_a_head_gives_the_most_weight():
    """The box of red moves with the word, the head and the position that has the weight, and with nothing else."""
    boxes = {}
    for place in [(0, 0, 0, 0), (0, 1, 0, 0), (1, 0, 0, 0), (0, 0, 2, 0), (0, 0, 0, 3)]:
        weights = torch.full((2, 3, 4, 4), 0.1)
        weights[place] = 0.7
        boxes[place] = reds(explanation_of(weights).picture())
    left, top, right, bottom = boxes[0, 0, 0, 0]
    assert right - left == bottom - top == 18, "a quarter of a small picture"
    assert [(box[0] - left, box[1] - top) for box in boxes.values()] == [(0, 0), (78, 0), (0, 78), (0, 36), (54, 0)]


def test_the_scale_of_a_row_is_that_of_its_words():
    """A mark of the tokenizer may have more weight than any word; it hides none of them."""
    weights = torch.full((1, 3, 4, 4), 0.1)
    weights[0, 0], weights[0, 2, 1, 1] = 0.9, 0.2
    marked = [("[CLS]", False), ("red", True), ("circle", True)]
    left, _, right, _ = reds(explanation_of(weights, marked).picture())
    assert right - left > 2 * 72, "from the first column, all red, to the red position of the last"


def test_channel_and_sentence_weights_are_shown_too():
    channels = torch.full((1, 3, 40), 0.1)
    channels[0, 1, ::2] = 0.8
    left, top, right, bottom = reds(explanation_of(channels).picture())
    assert (right - left, bottom - top) == (72, 20 * 4), "channels of one word lie beside each other"
    sentence = torch.full((1, 1, 4, 4), 0.1)
    sentence[0, 0, 1, 2] = 0.4
    assert reds(explanation_of(sentence).picture()) != (0, 0, 0, 0)


def test_even_weights_show_no_red():
    assert reds(explanation_of(torch.full((1, 3, 4, 4), 1 / 3)).picture()) == (0, 0, 0, 0)


def test_an_explanation_shows_itself_and_is_written(model, tmp_path):
    explanation = model.explain(PROMPT)
    with Image.open(io.BytesIO(explanation._repr_png_())) as shown:
        assert shown.size == explanation.picture().size
    with Image.open(explanation.save(tmp_path / "deep" / "looked.png")) as written:
        assert written.size == explanation.picture().size


# --- on the command line --------------------------------------------------------------------------------------------


def test_the_command_writes_the_picture(command, looking, tmp_path):
    out = tmp_path / "deep" / "looked.png"
    assert command("explain", looking, PROMPT, "--seed", 3, "--out", out) == (0, f"{out}\n", "")
    with Image.open(out) as written:
        assert written.tobytes() == limner.load(looking).explain(PROMPT, seed=3).picture().tobytes()


BAD = {
    "no attention": (["TRAINED", PROMPT], "This model has no attention that could be shown; train one that has"),
    "no run": (["nowhere", PROMPT], "There is no run folder nowhere"),
    "empty prompt": (["LOOKING", " "], "The prompt is empty"),
    "unknown words": (["LOOKING", "no such words"], "No word of the prompt 'no such words' was in the training"),
    "unknown ending": (["LOOKING", PROMPT, "--out", "x.picture"], "x.picture: pictures are written as .png"),
    "seed too large": (["LOOKING", PROMPT, "--seed", str(2**64)], "seed: expected a number from 0"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_input_ends_in_one_line(command, trained, looking, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    folders = {"TRAINED": trained, "LOOKING": looking}
    status, out, err = command("explain", *[folders.get(argument, argument) for argument in arguments])
    assert (status, out) == (1, "")
    assert re.fullmatch(f"Error: {re.escape(message)}.*\n", err)
    assert list(tmp_path.iterdir()) == []
