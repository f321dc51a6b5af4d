"""What the playground and the demo paint and say, and how it is written as HTML."""

import math
import re

import limner
import pytest
from limner import LimnerError
from limner.errors import LONGEST
from limner.play import pages
from limner.play.studio import CANDIDATES, FREE, MOST, STEPS, Part, Studio
from PIL import Image, ImageChops

PROMPT = "a red circle above a blue square"


def bytes_of(pictures):
    return [painted.image.tobytes() for painted in pictures]


# --- the prompt -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt", [PROMPT, "  A red,  elephant’s circle!", "un cafe\u0301 red", "red 🎨 circle", "a red İstanbul"]
)
def test_the_parts_of_a_prompt_are_the_prompt(quickstart, prompt):
    parts = quickstart.mark(prompt)
    unknown = quickstart.painter.unknown_words(prompt)
    assert "".join(part.text for part in parts) == prompt.replace("e\u0301", "é")
    assert [part.text.lower() for part in parts if not part.known] == unknown
    assert all(part.text.strip() for part in parts if part.is_word)


def test_unknown_words_are_marked(quickstart):
    assert quickstart.mark("a red elephant!") == [
        *[Part("a", True), Part(" "), Part("red", True), Part(" ")],
        *[Part("elephant", True, known=False), Part("!")],
    ]


def test_a_prompt_that_cannot_be_painted_is_one_sentence(quickstart, hostile):
    for refused in (quickstart.mark, quickstart.paint):
        with pytest.raises(LimnerError) as caught:
            refused(hostile)
        assert len(str(caught.value)) <= LONGEST


# --- painting -------------------------------------------------------------------------------------------------------


def test_the_pictures_are_those_of_the_model(quickstart):
    sheet = quickstart.paint(PROMPT, seed=3, count=5, truncation=1.0)
    model = quickstart.painter
    assert bytes_of(sheet.pictures) == [i.tobytes() for i in model.paint(PROMPT, 5, 3, truncation=1.0).images]
    assert [painted.draw for painted in sheet.pictures] == [0, 1, 2, 3, 4]
    assert sheet.words == PROMPT.split()


def test_best_of_keeps_what_the_model_keeps(quickstart):
    sheet = quickstart.paint(PROMPT, seed=1, count=2, best_of=6)
    best = quickstart.painter.paint(PROMPT, 2, 1, best_of=6)
    assert bytes_of(sheet.pictures) == [image.tobytes() for image in best.images]


def test_a_truncation_at_its_end_changes_nothing(quickstart):
    free, plain = quickstart.paint(PROMPT, truncation=FREE), quickstart.paint(PROMPT)
    assert bytes_of(free.pictures) == bytes_of(plain.pictures)
    assert free.truncation is None


def test_each_picture_is_read_and_judged(quickstart):
    for painted in quickstart.paint(PROMPT, count=3).pictures:
        assert re.search("red|blue", painted.reading)
        assert painted.verdict.keys() == {"shape", "color", "relation", "number of objects"}
    assert any(all(painted.verdict.values()) for painted in quickstart.paint(PROMPT, count=8).pictures)
    strange = quickstart.paint("red circle red", count=2)
    assert [painted.verdict for painted in strange.pictures] == [None, None]
    assert "The judge cannot read this prompt" in pages.grid(strange, quickstart.names)


def test_what_a_model_cannot_do_is_left_out(tiny, quickstart):
    assert (quickstart.can_choose, quickstart.can_look, quickstart.has_stages) == (True, True, False)
    assert not tiny.can_look
    sheet = tiny.paint(PROMPT, count=1)
    with pytest.raises(LimnerError, match="no attention to words over the picture"):
        tiny.look(sheet, 0, 0)


BAD = {
    "seed": {"seed": -1},
    "seed of text": {"seed": "1; import os"},
    "empty seed": {"seed": None},
    "huge seed": {"seed": 2**70},
    "truncation": {"truncation": 0},
    "pictures": {"count": MOST + 1},
    "no pictures": {"count": math.nan},
    "best of": {"best_of": CANDIDATES + 1},
    "model": {"member": 1},
}


@pytest.mark.parametrize("control", BAD.values(), ids=BAD)
def test_a_control_out_of_range_is_one_sentence(quickstart, control):
    with pytest.raises(LimnerError, match=r"expected"):
        quickstart.paint(PROMPT, **control)


# --- looking closer -------------------------------------------------------------------------------------------------


def test_attention_differs_from_word_to_word(quickstart):
    sheet = quickstart.paint(PROMPT, seed=2, count=2)
    titles, red = zip(*quickstart.look(sheet, 1, 1))
    assert [title.split(":")[0] for title in titles] == [
        f"Spatial attention, {size} x {size} places" for size in (4, 8)
    ]
    assert all(re.search(r": \d+% to \d+%$", title) for title in titles)
    _, square = zip(*quickstart.look(sheet, 1, 6))
    assert all(ImageChops.difference(one, other).getbbox() for one, other in zip(red, square))


def test_a_word_of_several_tokens_can_be_looked_at(quickstart):
    sheet = quickstart.paint("a red elephant", count=1)
    assert len(quickstart.look(sheet, 0, sheet.words.index("elephant"))) == 2


def test_the_way_to_another_prompt_has_both_ends(quickstart):
    sheet = quickstart.paint(PROMPT, seed=3, count=2)
    titles, images = zip(*quickstart.between(sheet, 1, "a green star above a pink heart", 5))
    assert (titles[0], titles[-1], len(images)) == ("0%", "100%", STEPS)
    end = quickstart.paint("a green star above a pink heart", seed=5, count=2).pictures[1].image
    for one, other in ((images[0], sheet.pictures[1].image), (images[-1], end)):
        assert max(ImageChops.difference(one, other).tobytes()) <= 1
    assert quickstart.between(sheet, 1, " ", 3)[-1][1].tobytes() == images[0].tobytes()
    with pytest.raises(LimnerError, match="seed: expected"):
        quickstart.between(sheet, 1, "", None)


def test_every_stage_of_a_hierarchy_is_shown(trained, tmp_path):
    stages = (
        "generator={name='staged', stages=[{name='initial', size=8, channels=[8, 8]}, {name='refinement', channels=8}]}"
    )
    limner.train(trained / "recipe.toml", tmp_path / "run", [stages], callbacks=[])
    studio = Studio(limner.load(tmp_path / "run"))
    sheet = studio.paint(PROMPT, count=2)
    titles, images = zip(*studio.stages(sheet, 1))
    assert (studio.has_stages, titles) == (True, ("8 px", "16 px"))
    assert images[-1].tobytes() == sheet.pictures[1].image.tobytes()


# --- ensembles ------------------------------------------------------------------------------------------------------


def test_an_ensemble_says_who_painted(quickstart):
    model = quickstart.painter
    ensemble = limner.Ensemble([model, limner.load("quickstart")])
    studio = Studio(ensemble, ["one", "<two>"])
    sheet = studio.paint(PROMPT, seed=1, count=6)
    assert [painted.member for painted in sheet.pictures] == ensemble.painters(6, 1)
    assert {painted.member for painted in sheet.pictures} == {0, 1}
    assert bytes_of(sheet.pictures) == [image.tobytes() for image in ensemble.paint(PROMPT, 6, 1).images]
    assert ", by &#60;two&#62;</span>" in pages.grid(sheet, studio.names)
    assert {painted.member for painted in studio.paint(PROMPT, member=1).pictures} == {1}
    assert len(studio.look(sheet, 5, 1)) == 2
    assert len(studio.between(sheet, 5, "", 2)) == STEPS


# --- as HTML --------------------------------------------------------------------------------------------------------


def test_everything_typed_is_escaped():
    signs = "<script>alert(1)</script> & \"'` ${1} {{x}}"
    for html in (
        pages.note(signs),
        pages.marked([Part(signs, True, False)]),
        pages.row([(signs, Image.new("RGB", (4, 4)))]),
    ):
        body = html.removeprefix(pages.STYLE)
        assert "script>" not in body
        assert not re.search("[`${}]", body)
    assert pages.escape("a red круг") == "a red круг"


def test_a_verdict_names_what_is_wrong():
    assert "✓ as asked" in pages.verdict({"shape": True, "color": True})
    assert "✗ wrong: shape, relation" in pages.verdict({"shape": False, "color": True, "relation": False})
