"""The diagrams of the lessons: each is complete, and shows itself as SVG and as PNG."""

import io
from xml.etree import ElementTree

import limner
import pytest
from limner import LimnerError
from limner.course.boxes_and_arrows import PAPER, Diagram
from limner.course.diagrams import PARTS
from PIL import Image, ImageColor


@pytest.mark.parametrize("lesson", PARTS)
def test_a_diagram_names_only_its_own_boxes_and_joins_each(lesson):
    boxes, arrows, about = PARTS[lesson]
    joined = {end for start, to, *_ in arrows for end in (start, to)}
    assert joined == set(boxes)
    assert set(about) <= set(boxes)
    assert len(set(boxes.values())) == len(boxes), "two boxes at one place"


def test_a_diagram_is_svg_and_png_with_the_same_background():
    drawn = Diagram({"in": (0, 0), "out\nagain": (1, 0)}, [("in", "out\nagain", "the way")], ["in"])
    svg = ElementTree.fromstring(drawn._repr_svg_())
    texts = [text for element in svg.iter() if (text := (element.text or "").strip())]
    assert {"in", "out", "again", "the way"} <= set(texts), "text stays text"
    with Image.open(io.BytesIO(drawn._repr_png_())) as picture:
        assert picture.convert("RGB").getpixel((1, 1)) == ImageColor.getrgb(PAPER)
        assert picture.width > picture.height
    assert drawn._repr_svg_() == drawn._repr_svg_(), "the same each time"


def test_an_unknown_lesson_lists_those_that_have_a_diagram():
    assert limner.diagram("attention").about == ["words", "attention"]
    with pytest.raises(LimnerError, match=r"There is no diagram 'attentoin'; choose one of quickstart, "):
        limner.diagram("attentoin")
