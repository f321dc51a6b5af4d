"""`limner export`: what it writes, what it checks, and what it refuses."""

import json
import sys
from importlib.metadata import version

import limner
import numpy as np
import pytest
from limner import LimnerError, TextEncoder
from limner.models import onnx_export
from limner.testing import tiny_host, tiny_recipe
from limner.types import TextFeatures
from torch import nn

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason='this test needs pip install "limner[export]"')

pytestmark = pytest.mark.filterwarnings("ignore")  # of the exporter, when it is imported for the first time
PROMPTS = ["a red circle above a blue square", "a red circle", "a green heart to the left of a red star"]


def run_onnx(file, prompts, noise):
    """What a program without Limner does: read the description and the tokenizer, and call ONNX Runtime."""
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

    about = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(file.parent / about["tokenizer"]))
    tokenizer.enable_truncation(about["length"])
    tokenizer.enable_padding(length=about["length"], pad_id=about["padding"])
    encoded = tokenizer.encode_batch(prompts)
    session = InferenceSession(file.parent / about["weights"], providers=["CPUExecutionProvider"])
    assert [image.name for image in session.get_outputs()] == [f"image_{size}" for size in about["sizes"]]
    given = {
        "tokens": np.array([row.ids for row in encoded], np.int64),
        "mask": np.array([row.attention_mask for row in encoded], bool),
        "noise": noise.numpy(),
    }
    return [np.asarray(image) for image in session.run(None, given)]


@pytest.mark.slow
def test_the_exported_files_paint_the_same_images(command, tmp_path, trained):
    file = tmp_path / "small.onnx"
    status, out, err = command("export", trained, "--to", "onnx", "--out", file)
    assert (status, err) == (0, "")
    assert "ONNX Runtime paints the same images" in out
    assert {path.name for path in tmp_path.iterdir()} == {"small.onnx", "small.tokenizer.json", "small.json"}
    model = limner.load(trained)
    for prompts in (PROMPTS, PROMPTS[:1], PROMPTS * 3):  # any number of images
        noise = onnx_export.draw_noise(model.conditional_generator.generator.noise_width, range(len(prompts)), 3)
        painted = run_onnx(file, prompts, noise)
        for image, size in zip(painted, model.resolutions, strict=True):
            expected = model.sample(prompts, seed=3, size=size)
            np.testing.assert_allclose(image, expected.numpy(), atol=1e-4)


class PackedEncoder(TextEncoder):
    """An encoder that looks at numbers in its input, which no exporter can follow."""

    def __init__(self, sizes):
        super().__init__(sizes)
        self.width = 16
        self.token = nn.Embedding(sizes.vocabulary, 16)

    def forward(self, tokens):
        words = self.token(tokens.ids)
        if int(tokens.ids.sum()) % 2:
            words = words + 1
        return TextFeatures(words * tokens.mask[..., None], words.sum(1), tokens.mask)


@pytest.mark.slow
def test_a_part_that_cannot_be_exported_is_named_and_nothing_is_written(tmp_path):
    plugins = tiny_host(encoder={"packed": PackedEncoder})
    model = limner.train(tiny_recipe(encoder={"name": "packed"}), quiet=True, plugins=plugins)
    with pytest.raises(LimnerError, match=r"^The encoder 'packed' cannot be exported to ONNX: .*another encoder.$"):
        model.export(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_lstm_is_named(recipe, tmp_path):
    recipe["encoder"] = {"name": "lstm", "width": 16}
    with pytest.raises(LimnerError, match="The encoder 'lstm' cannot be exported"):
        limner.train(recipe, quiet=True).export(tmp_path / "model.onnx")


# --- without an export ----------------------------------------------------------------------------------------------


@pytest.fixture
def content(monkeypatch):
    """The export is replaced: it gives these bytes and this difference."""
    made = {"bytes": b"weights", "difference": 0.0}
    monkeypatch.setattr(onnx_export, "_to_onnx", lambda model, examples: made["bytes"])
    monkeypatch.setattr(onnx_export, "_largest_difference", lambda *_: made["difference"])
    return made


def test_the_description_says_what_a_caller_needs(content, trained, tmp_path):
    model = limner.load(trained)
    model.export(tmp_path / "a.onnx")
    about = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert {"weights": "a.onnx", "tokenizer": "a.tokenizer.json", "noise": 8, "sizes": [16]}.items() <= about.items()
    assert about["length"] == model.tokenizer.length
    assert about["prompts"] == model.recipe.prompts
    assert "red" in about["words"]
    assert about["versions"]["torch"] == version("torch")


def test_bad_input_is_one_sentence(command, content, trained, tmp_path, monkeypatch):
    status, out, err = command("export", trained, "--out", tmp_path / "model.pt")
    assert (status, out) == (1, "")
    assert "should end in .onnx" in err
    assert "m.onnx cannot be written: " in command("export", trained, "--out", tmp_path / "nowhere" / "m.onnx")[2]
    assert command("export", trained, "--to", "coreml")[0] == 2
    for difference in (0.1, float("nan")):
        content["difference"] = difference
        assert "paints other images than the model" in command("export", trained, "--out", tmp_path / "m.onnx")[2]
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    told = 'Error: Exporting to ONNX needs packages that are not installed; pip install "limner[export]" brings them.\n'
    assert command("export", trained, "--out", tmp_path / "m.onnx") == (1, "", told)
    assert list(tmp_path.iterdir()) == []
