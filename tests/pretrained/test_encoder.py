"""Pretrained encoders: their features, what influences them, what learns, and errors."""

import json
import shutil

import limner
import pytest
import torch
from limner import LimnerError, PluginHost, Recipe, Sizes, Tokens
from limner.data.tokenizer import Tokenizer
from limner.recipes.schema import Text
from limner.testing import check_encoder
from limner_pretrained.encoder import PretrainedEncoder
from limner_pretrained.language import open_language_model
from transformers import AutoModel, AutoTokenizer, CLIPTextModel, GPT2Config, GPT2Model, T5Config

pytestmark = pytest.mark.filterwarnings("ignore:.* captions are longer")  # the small models spell out their words

CAPTION = "a red circle above a blue square"
OTHERS = ["a star", "a green heart on a white background above a blue square"]


def padded(tokens, length, padding=0):
    """The same tokens with more padding, of any id."""
    more = length - tokens.ids.shape[1]
    ids = torch.nn.functional.pad(tokens.ids, (0, more))
    mask = torch.nn.functional.pad(tokens.mask, (0, more))
    return Tokens(ids.masked_fill(~mask, padding), mask)


@pytest.mark.parametrize("fine_tune", [0.0, 0.02])
@pytest.mark.parametrize("name", ["small_bert", "small_clip"])
def test_it_passes_the_checks_of_a_text_encoder(request, name, fine_tune):
    sizes = Sizes(image=16, vocabulary=30, length=12)
    folder = str(request.getfixturevalue(name))
    check_encoder(PretrainedEncoder, sizes=sizes, model=folder, width=16, fine_tune=fine_tune)


# --- features -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fine_tune", [0.0, 0.02])
@pytest.mark.parametrize("name", ["small_bert", "small_clip", "whole_clip", "real_bert"])
@torch.no_grad()
def test_words_and_sentence_are_projections_of_the_model(request, encoder_of, tokenizer_of, name, fine_tune):
    folder = request.getfixturevalue(name)
    encoder, tokens = encoder_of(folder, fine_tune=fine_tune), tokenizer_of(folder)([CAPTION, *OTHERS])
    text = encoder(tokens)
    clip = "clip" in folder.name
    own = AutoTokenizer.from_pretrained(folder)([CAPTION, *OTHERS], padding=True, return_tensors="pt")
    assert torch.equal(own["input_ids"], tokens.ids)
    model = (CLIPTextModel if clip else AutoModel).from_pretrained(folder)
    output = model(input_ids=own["input_ids"], attention_mask=own["attention_mask"])
    hidden, mask = output.last_hidden_state, tokens.mask[..., None]
    pooled = output.pooler_output if clip else (hidden * mask).sum(1) / mask.sum(1)
    torch.testing.assert_close(text.words, encoder.word(hidden) * mask, rtol=0, atol=1e-5)
    sentence = encoder.sentence(pooled)
    sentence = sentence / sentence.square().mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(text.sentence, sentence, rtol=0, atol=1e-4)
    assert text.sentence.square().mean(1).sqrt().tolist() == pytest.approx([1] * 3, abs=1e-3)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fine_tune", [0.0, 0.02])
@torch.no_grad()
def test_padding_has_no_influence(folder, encoder_of, tokenizer_of, fine_tune, training):
    encoder, tokenizer = encoder_of(folder, fine_tune=fine_tune).train(training), tokenizer_of(folder)
    alone = encoder(tokenizer([CAPTION]))
    length = alone.words.shape[1]
    among = tokenizer([CAPTION, *OTHERS])
    for tokens in (padded(tokenizer([CAPTION]), 24), padded(tokenizer([CAPTION]), 24, padding=7), among):
        text = encoder(tokens)
        torch.testing.assert_close(text.sentence[0], alone.sentence[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(text.words[0, :length], alone.words[0], rtol=0, atol=1e-5)
        assert text.words[~tokens.mask].abs().sum() == 0


@torch.no_grad()
def test_the_order_of_the_words_matters(folder, encoder_of, tokenizer_of):
    encoder, tokenizer = encoder_of(folder), tokenizer_of(folder)
    one, other = encoder(tokenizer([CAPTION, "a blue square above a red circle"])).sentence
    assert (one - other).abs().max() > 1e-3


@torch.no_grad()
def test_autocast_does_not_change_a_frozen_model(small_bert, encoder_of, tokenizer_of):
    encoder, tokens = encoder_of(small_bert), tokenizer_of(small_bert)([CAPTION])
    exact = encoder.hidden_states(tokens)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoder.hidden_states(tokens), exact)


# --- what learns ----------------------------------------------------------------------------------------------------


def without_gradient(encoder, tokens):
    """The names of the parameters that get no gradient from words and sentence."""
    text = encoder(tokens)
    torch.manual_seed(0)
    loss = (text.words * torch.randn_like(text.words)).sum() + (text.sentence * torch.randn_like(text.sentence)).sum()
    names, weights = zip(*encoder.named_parameters())
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return [name for name, gradient in zip(names, gradients) if gradient is None or not gradient.abs().sum() > 0]


def test_fine_tuning_reaches_all_weights_with_its_own_rate(folder, encoder_of, tokenizer_of):
    encoder = encoder_of(folder, fine_tune=0.02)
    idle = without_gradient(encoder, tokenizer_of(folder)([CAPTION, *OTHERS]))
    shifts = ("k_proj.bias", "key.bias")  # a shift of all keys does not change the softmax
    assert [name for name in idle if not name.endswith(shifts)] == []
    scales = {name: getattr(weight, "lr_scale", 1.0) for name, weight in encoder.named_parameters()}
    assert {scale for name, scale in scales.items() if name.startswith("learning.")} == {0.02}
    assert {scale for name, scale in scales.items() if not name.startswith("learning.")} == {1.0}


def test_frozen_only_the_projections_learn(folder, encoder_of, tokenizer_of):
    encoder = encoder_of(folder)
    assert [name for name, _ in encoder.named_parameters()] == ["word.weight", "word.bias", *SENTENCE]
    assert without_gradient(encoder, tokenizer_of(folder)([CAPTION, *OTHERS])) == []
    assert not any(weight.requires_grad for weight in encoder.language.parameters())


SENTENCE = ["sentence.weight", "sentence.bias"]


class LanguageWatcher:
    """Keeps the language model's weights from the start and the end of training."""

    def weights(self, run):
        return {n: w.clone() for n, w in run.networks.conditional_discriminator.encoder.language.named_parameters()}

    @limner.hookimpl
    def limner_training_started(self, run):
        self.first = self.weights(run)

    @limner.hookimpl
    def limner_training_finished(self, run):
        self.last = self.weights(run)
        self.grads = [weight.grad for weight in run.networks.conditional_discriminator.encoder.language.parameters()]


@pytest.mark.parametrize("fine_tune", [0.0, 0.02])
def test_training_changes_the_model_only_if_it_is_fine_tuned(recipe, small_bert, fine_tune):
    recipe["encoder"] = {"name": "pretrained", "model": str(small_bert), "width": 16, "fine_tune": fine_tune}
    callback = LanguageWatcher()
    limner.train(recipe, callbacks=[callback])
    changed = [name for name, weight in callback.first.items() if not torch.equal(weight, callback.last[name])]
    if not fine_tune:
        assert changed == []
        assert all(gradient is None for gradient in callback.grads)
        return
    assert any("layer.1" in name for name in changed)
    moved = max((callback.last[name] - weight).abs().max() for name, weight in callback.first.items())
    assert moved <= 3 * 0.02 * 1e-3 * 1.5  # three steps of Adam with a fiftieth of the learning rate


# --- the tokenizer --------------------------------------------------------------------------------------------------


def test_the_tokenizer_is_the_models_own_and_no_other(recipe, small_bert, small_clip):
    recipe["encoder"] = {"name": "pretrained", "model": str(small_bert), "width": 16}
    model = limner.train(recipe, quiet=True)
    own = AutoTokenizer.from_pretrained(small_bert)
    assert model.tokenizer.inner.get_vocab() == own.get_vocab()
    assert model.tokenizer([CAPTION]).ids.tolist() == own([CAPTION])["input_ids"]
    limner.train(recipe | {"text": {"tokenizer": str(small_bert)}}, quiet=True)  # naming it again is allowed
    with pytest.raises(LimnerError, match=r"text.tokenizer: the encoder 'pretrained' .*tokenizer.*bert.* leave"):
        limner.train(recipe | {"text": {"tokenizer": str(small_clip)}}, quiet=True)


def test_starting_from_a_run_with_another_tokenizer_is_refused(recipe, trained, small_bert):
    recipe["encoder"] = {"name": "pretrained", "model": str(small_bert), "width": 16}
    recipe["training"]["start_from"] = str(trained)
    with pytest.raises(LimnerError, match=r"training.start_from: .* has another tokenizer than '.*bert'"):
        limner.train(recipe, quiet=True)


# --- saving and loading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["lstm", "transformer", "small_bert", "whole_clip", "fine-tuned"])
def test_a_run_needs_only_its_own_folder(recipe, request, tmp_path, encoder):
    source = tmp_path / "model"
    if encoder in ("lstm", "transformer"):
        line = f"encoder={encoder}"
    else:
        fixture = "small_bert" if encoder == "fine-tuned" else encoder
        shutil.copytree(request.getfixturevalue(fixture), source)
        line = f"encoder={{name='pretrained', model='{source}', fine_tune={0.02 if encoder == 'fine-tuned' else 0.0}}}"
    model = limner.train(recipe, tmp_path / "run", [line], quiet=True)
    painted = model.paint_images([CAPTION, "a green star"], seed=1)
    shutil.rmtree(source, ignore_errors=True)
    again = limner.load(tmp_path / "run")
    assert torch.equal(again.paint_images([CAPTION, "a green star"], seed=1), painted)
    assert again.recipe.table() == model.recipe.table()
    assert any(file.name.endswith(".safetensors") for file in (tmp_path / "run").iterdir())

    again.save(tmp_path / "copy")  # a loaded run can be saved elsewhere
    shutil.rmtree(tmp_path / "run")
    assert torch.equal(limner.load(tmp_path / "copy").paint_images([CAPTION, "a green star"], seed=1), painted)


@pytest.mark.slow
def test_a_training_can_start_from_one_with_the_same_model(recipe, small_bert, tmp_path):
    recipe["encoder"] = {"name": "pretrained", "model": str(small_bert), "width": 16}
    limner.train(recipe, tmp_path / "first", quiet=True)
    recipe["training"]["start_from"] = str(tmp_path / "first")
    with pytest.warns(UserWarning, match="Loaded from .*: encoder, generator"):
        limner.train(recipe, tmp_path / "second", quiet=True)


def test_a_run_without_its_language_model_is_half_written(recipe, small_bert, tmp_path):
    recipe["encoder"] = {"name": "pretrained", "model": str(small_bert), "width": 16}
    limner.train(recipe, tmp_path / "run", quiet=True)
    shutil.rmtree(tmp_path / "run" / "encoder")
    with pytest.raises(LimnerError, match="only half written: it has no encoder"):
        limner.load(tmp_path / "run")


# --- errors ---------------------------------------------------------------------------------------------------------


def copy_of(folder, place):
    """A copy of a model's folder that a test can damage."""
    return shutil.copytree(folder, place / "damaged")


def another_kind(folder):
    T5Config().save_pretrained(folder)


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def cut_off(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def too_many_tokens(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 20}))


def lacking_a_layer(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))


def configured(**entries):
    """A damage: other entries in the configuration."""

    def damage(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | entries))

    return damage


def indexed(content):
    """A damage: an index of several files of weights."""

    def damage(folder):
        (folder / "model.safetensors").rename(folder / "part.safetensors")
        (folder / "model.safetensors.index.json").write_text(content)

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "model: '.*damaged' is neither a folder with a model nor kept on this machine, and the hub"),
        (lambda folder: (folder / "config.json").unlink(), "model: the folder .*damaged is not a transformers model"),
        (lambda folder: (folder / "config.json").write_text("{}"), "model: transformers cannot read '.*damaged'"),
        (another_kind, "a model of type 't5'; use a BERT-like one"),
        (without_weights, "the weights of '.*damaged' cannot be read: .*model.safetensors"),
        (cut_off, "the weights of '.*damaged' cannot be read"),
        (too_many_tokens, "the weights of '.*damaged' cannot be read|the tokenizer of '.*' has .* tokens"),
        (lacking_a_layer, r"lacks weights, such as 'encoder\.layer\.2"),
        (lambda folder: [file.unlink() for file in folder.glob("tokenizer*")], "encoder: '.*damaged' is .* tokenizer"),
        (indexed("[]"), r"model\.safetensors\.index\.json is damaged"),
        (indexed("{"), r"model\.safetensors\.index\.json is damaged"),
        (indexed('{"weight_map": []}'), r"model\.safetensors\.index\.json is damaged"),
        (indexed('{"weight_map": {"a": 3}}'), r"index\.json is damaged: 3 is no file beside it"),
        (indexed('{"weight_map": {"a": "../bert/model.safetensors"}}'), r"index\.json is damaged: '\.\./bert"),
        (indexed('{"weight_map": {"a": "gone.safetensors"}}'), "the weights of '.*damaged' cannot be read"),
        (configured(hidden_size=10**9), "This model would have 256 billion weights"),
        (configured(hidden_size=24 * 10**4), "the weights of '.*damaged' cannot be read: .* do not fit into files"),
        (configured(hidden_size="wide"), "transformers cannot read '.*damaged'|is damaged"),
        (configured(num_hidden_layers=10**9), "should have a number of layers, not 1000000000"),
        (configured(num_hidden_layers="2"), "transformers cannot read '.*damaged'|number of layers, not '2'"),
        (configured(max_position_embeddings=[]), "transformers cannot read '.*damaged'"),
        (
            configured(model_type="evil", auto_map={"AutoConfig": "evil.Evil"}),
            r"config\.json asks to run code of its own",
        ),
    ],
)
def test_a_wrong_model_is_refused_in_one_sentence(recipe, small_bert, tmp_path, monkeypatch, damage, message):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the user was asked"))
    folder = copy_of(small_bert, tmp_path)
    damage(folder)
    recipe["encoder"] = {"name": "pretrained", "model": str(folder)}
    with pytest.raises(LimnerError, match=message) as caught:
        limner.train(recipe, quiet=True)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_never_runs_code_of_its_own(small_bert, tmp_path, monkeypatch):
    """If it has rules that transformers knows, these are used; otherwise it is refused."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the user was asked"))
    folder = copy_of(small_bert, tmp_path)
    own_code = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(own_code | {"pad_token": "[PAD]"}))
    (folder / "evil.py").write_text("raise SystemExit('the code was run')")
    assert Tokenizer.learn([], Text(tokenizer=str(folder))).vocabulary > 20
    (folder / "tokenizer.json").unlink()
    configured(model_type="evil", auto_map={"AutoConfig": "evil.Evil"})(folder)
    with pytest.raises(LimnerError, match=r"text\.tokenizer: .*'.*damaged'"):
        Tokenizer.learn([], Text(tokenizer=str(folder)))


def test_an_unknown_name_is_refused_before_any_work(recipe):
    recipe["encoder"] = {"name": "pretrained", "model": "bert-base-uncased"}
    recipe["data"] = {"name": "coco", "root": "nowhere"}
    with pytest.raises(
        LimnerError, match=r"encoder: model: 'bert-base-uncased' is neither a folder .* the hub cannot be"
    ):
        limner.train(recipe, quiet=True)


def test_captions_longer_than_the_models_limit_are_refused(recipe, small_bert):
    recipe |= {"encoder": {"name": "pretrained", "model": str(small_bert)}, "text": {"length": 40}}
    with pytest.raises(LimnerError, match=r"reads at most 32 tokens; set text.length"):
        limner.train(recipe, quiet=True)


def test_a_tokenizer_that_cannot_pad_is_refused(recipe, small_clip, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(small_clip)
    GPT2Model(GPT2Config(vocab_size=200, n_embd=8, n_layer=1, n_head=1, n_positions=32)).save_pretrained(tmp_path / "g")
    tokenizer.pad_token = None
    tokenizer.save_pretrained(str(tmp_path / "g"))
    recipe["encoder"] = {"name": "pretrained", "model": str(tmp_path / "g")}
    with pytest.raises(LimnerError, match=r"encoder: the tokenizer '.*' has no padding token"):
        limner.train(recipe, quiet=True)


def test_a_dry_run_reads_no_weights(small_bert, tmp_path):
    folder = copy_of(small_bert, tmp_path)
    without_weights(folder)
    with torch.device("meta"):
        encoder = PretrainedEncoder(Sizes(image=16, vocabulary=2000, length=24), model=str(folder))
        assert all(weight.is_meta for weight in encoder.language.parameters())
        open_language_model(str(folder), 2000, 24, learns=True)


def test_the_model_must_be_named(recipe):
    recipe["encoder"] = {"name": "pretrained"}
    with pytest.raises(LimnerError, match=r"encoder.model: the encoder 'pretrained' needs this option"):
        Recipe.read(PluginHost(), recipe)
