"""The playground of a notebook: its widgets' callbacks, without a browser."""

import io
import sys
from base64 import b64decode

import limner
import pytest
from limner import LimnerError
from limner.play import pages
from limner.play.studio import STEPS, Studio
from PIL import Image

widgets = pytest.importorskip("ipywidgets", reason='the playground needs pip install "limner[lab]"')

from limner.play.widgets import Playground  # noqa: E402

PROMPT = "a red circle above a blue square"


@pytest.fixture
def playground(quickstart) -> Playground:
    return Playground(quickstart)


def tabs_of(playground):
    [tab] = [child for child in playground.children if isinstance(child, widgets.Tab)]
    return list(tab.titles)


def test_it_opens_with_pictures_of_a_prompt(playground, quickstart):
    assert playground.prompt.value == quickstart.suggestions[0]
    assert playground.grid.value.count("<img") == 4
    assert playground.grid.value.count("limner-reading") > 4
    assert "✓" in playground.grid.value
    assert playground.maps.value.count("<img") == 2
    assert tabs_of(playground) == ["Attention", "Interpolation"]


def test_where_a_notebook_is_only_read_a_picture_is_shown(playground):
    shown = playground._repr_mimebundle_()
    assert shown.keys() == {"text/plain", "application/vnd.jupyter.widget-view+json", "image/png"}
    with Image.open(io.BytesIO(b64decode(shown["image/png"]))) as picture:
        assert picture.width > 4 * 128


def test_unknown_words_are_marked(playground):
    playground.prompt.value = "a red elephant"
    assert "<mark>elephant</mark>" in playground.marks.value
    assert playground.sheet.prompt == "a red elephant"


def test_painting_uses_the_controls(playground, quickstart):
    playground.prompt.value, playground.seed.value, playground.count.value = PROMPT, 7, 2
    playground.truncation.value, playground.best_of.value = 0.5, 4
    playground.paint.click()
    sheet = quickstart.paint(PROMPT, 7, 0.5, 2, 4)
    assert playground.grid.value == pages.grid(sheet, quickstart.names)
    assert [label for label, _ in playground.words.options] == PROMPT.split()
    assert playground.picture.max == 2


def test_a_click_on_a_word_shows_its_attention(playground, quickstart):
    playground.prompt.value = PROMPT
    playground.paint.click()
    playground.words.value, playground.picture.value = 2, 3
    sheet = quickstart.paint(PROMPT)
    assert playground.maps.value == pages.maps(quickstart.look(sheet, 2, 2))


def test_a_pick_is_painted(playground, quickstart):
    playground.picked.value = quickstart.suggestions[3]
    assert playground.prompt.value == quickstart.suggestions[3]
    assert playground.sheet.prompt == quickstart.suggestions[3]


def test_interpolation(playground):
    playground.other_prompt.value, playground.other_seed.value = "a green star above a pink heart", 9
    playground.go.click()
    assert playground.between.value.count("<img") == STEPS
    playground.other_prompt.value = "квадрат"
    playground.go.click()
    assert "No word of the prompt" in playground.between.value


def test_bad_input_is_one_sentence(playground, hostile):
    playground.prompt.value = hostile
    playground.paint.click()
    assert playground.sheet is None
    assert playground.grid.value.count("limner-note") == 2, "its style and one note"
    assert playground.marks.value == playground.maps.value == ""
    assert "<script" not in playground.grid.value
    playground.go.click()
    playground.prompt.value = PROMPT
    playground.paint.click()
    assert playground.grid.value.count("<img") == 4


def test_a_model_without_attention_has_no_maps(trained):
    assert tabs_of(limner.playground(limner.load(trained))) == ["Interpolation"]


def test_an_ensemble_has_a_choice_of_painters(quickstart):
    model = quickstart.painter
    playground = Playground(Studio(limner.Ensemble([model, model])))
    assert ", by model " in playground.grid.value
    playground.member.value = 1
    playground.paint.click()
    assert playground.grid.value.count(", by model 2<") == 4


def test_without_ipywidgets_one_sentence_says_what_to_install(quickstart, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.delitem(sys.modules, "limner.play.widgets")
    with pytest.raises(LimnerError, match=r'needs ipywidgets, which is not installed; pip install "limner\[lab\]"'):
        limner.playground(quickstart.painter)
