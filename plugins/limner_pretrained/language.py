"""Language models of transformers: found by name or folder, read with care, and asked what captions mean."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float
from limner import LimnerError, Tokens
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, CLIPTextModel, PreTrainedModel
from transformers.utils import logging

IN_THE_RUN = "weights_are_those_of_the_run"  # a key of the configuration: no weights lie beside it
UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)


class LanguageModel(nn.Module):
    """The text half of a BERT-like or CLIP model: its last hidden states, and one vector for the whole caption.

        BERT (Devlin et al. 2019):  words = h_1 ... h_n,    sentence = 1/n sum_t h_t
        CLIP (Radford et al. 2021): words = h_1 ... h_n,    sentence = h_n, at the token that ends the text

    BERT's own vector, [CLS], was trained to tell whether one sentence follows another, and says less of what a sentence
    means than the mean of its tokens does (Reimers and Gurevych 2019, table 1). CLIP was trained by its last token, the
    only one that sees all the others. No dropout: both players of the game are to read one and the same sentence.
    """

    def __init__(self, model: PreTrainedModel):
        """`model`: one of transformers that takes token ids and a mask, and pads on the right."""
        super().__init__()
        self.model = model
        if getattr(model, "pooler", None) is not None:
            model.register_module("pooler", None)  # it makes another vector of [CLS], which nobody here would read
        self.last = isinstance(model, CLIPTextModel)
        self.train(False)

    @property
    def width(self) -> int:
        """H, the width of the hidden states."""
        return self.model.config.hidden_size

    def train(self, mode: bool = True) -> "LanguageModel":
        return super().train(False)

    def forward(self, tokens: Tokens) -> Float[Tensor, "B T H"]:
        """The words: hidden states of the last layer; what stands at padding means nothing."""
        return self.model(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state

    def sentence(self, words: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B H"]:
        """One vector for each caption: CLIP's last word, or the mean of BERT's."""
        count = reduce(mask.long(), "b t -> b", "sum")
        if self.last:
            return words[torch.arange(len(words), device=words.device), count - 1]
        return reduce(words * mask[..., None], "b t h -> b h", "sum") / rearrange(count, "b -> b 1")


def open_language_model(name: str, vocabulary: int, length: int, *, learns: bool) -> LanguageModel:
    """A language model by hub name or folder; on the meta device only its shape, so nothing but its configuration.

    Args:
        name: as transformers knows it, such as "bert-base-uncased", or a folder.
        vocabulary: number of token ids that it will be given.
        length: tokens of the longest caption.
        learns: whether its weights will be learned, and so be the run's.

    Raises:
        LimnerError: when it is not there and cannot be fetched, is damaged, no text model, or too short for captions.
    """
    folder = Path(name).expanduser()
    source = str(folder) if folder.is_dir() else name
    config = _configuration(source, folder.is_dir())
    if length > (longest := getattr(config, "max_position_embeddings", length)):
        raise LimnerError(f"model: '{name}' reads at most {longest} tokens; set text.length to that or less.")
    kind: Any = CLIPTextModel if config.model_type == "clip_text_model" else AutoModel
    with _quietly(downloading=not folder.is_dir()):
        if torch.empty(0).is_meta or (learns and getattr(config, IN_THE_RUN, False)):
            model = kind.from_config(config) if kind is AutoModel else kind(config)
        else:
            model = _with_weights(kind, source)
    known = cast(int, model.get_input_embeddings().num_embeddings)
    if not torch.empty(0).is_meta and vocabulary > known:
        raise LimnerError(
            f"model: the tokenizer of '{name}' has {vocabulary} tokens and the model knows {known}; "
            "they do not belong together, so fetch both again."
        )
    return LanguageModel(model)


def save_language_model(language: LanguageModel, folder: Path, *, learns: bool) -> None:
    """Write a language model as `open_language_model` reads it; the weights only where it does not learn them."""
    with _quietly():
        if not learns:
            language.model.save_pretrained(str(folder))
            return
        config = type(language.model.config).from_dict({**language.model.config.to_dict(), IN_THE_RUN: True})
        config.save_pretrained(str(folder))


def _configuration(source: str, local: bool) -> Any:
    """The configuration of the text half of a model."""
    if local and not (Path(source) / "config.json").is_file():
        raise LimnerError(f"model: the folder {source} holds no model of transformers; it has no config.json.")
    try:
        config: Any = AutoConfig.from_pretrained(source)
    except ValueError as error:  # transformers does not know this kind
        raise LimnerError(f"model: '{source}' is no model that transformers can read: {_first_line(error)}") from None
    except OSError:
        raise LimnerError(
            f"model: '{source}' is neither a folder with a model nor kept on this machine, and the hub cannot be "
            "reached or has none of that name; check the name and the connection, or give the folder of a model."
        ) from None
    if config.model_type == "clip":
        return config.text_config
    if config.is_encoder_decoder or hasattr(config, "text_config") or not hasattr(config, "vocab_size"):
        raise LimnerError(
            f"model: '{source}' is a model of type '{config.model_type}'; what can be used here is BERT-like, such as "
            "bert-base-uncased, or CLIP, such as openai/clip-vit-base-patch32."
        )
    return config


def _with_weights(kind: Any, source: str) -> PreTrainedModel:
    """The model with its weights, all of them; float32, from safetensors only."""
    try:
        model, found = kind.from_pretrained(source, output_loading_info=True, use_safetensors=True, dtype=torch.float32)
    except UNREADABLE as error:
        raise LimnerError(
            f"model: the weights of '{source}' cannot be read: {_first_line(error)} "
            "They are expected as model.safetensors; fetch them again, or check the connection."
        ) from None
    if lacking := sorted(weight for weight in found["missing_keys"] if not weight.startswith("pooler.")):
        raise LimnerError(f"model: '{source}' lacks weights, such as '{lacking[0]}'; fetch it again.")
    return model


def _first_line(error: BaseException) -> str:
    """What an error says, as one short sentence."""
    said = " ".join(str(error).split()).split(". ")[0][:200].rstrip(" .:")
    return f"{said}."


@contextmanager
def _quietly(downloading: bool = False) -> Iterator[None]:
    """Without the tables and warnings of transformers, as what matters in them is checked here; bars for downloads."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not downloading:
        logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
