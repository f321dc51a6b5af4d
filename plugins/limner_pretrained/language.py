"""Language models from transformers: opened by name or folder, checked, and used to encode captions."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float
from limner import LimnerError, Tokens
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, CLIPTextModel, PreTrainedModel
from transformers.utils import logging

IN_THE_RUN = "weights_are_those_of_the_run"  # a key of the configuration: its folder holds no weights
CODE = "trust_remote_code"  # in what transformers says if a model brings code of its own
MOST_LAYERS = 1000


class LanguageModel(nn.Module):
    """The text part of a BERT-like or CLIP model: its last hidden states, and one vector for the whole caption.

        BERT (Devlin et al. 2019):  words = h_1 ... h_n,    sentence = 1/n sum_t h_t
        CLIP (Radford et al. 2021): words = h_1 ... h_n,    sentence = h_n, at the token that ends the text

    BERT's own vector, [CLS], was trained to tell whether one sentence follows another. It captures the meaning of a
    sentence less well than the mean of the tokens does (Reimers and Gurevych 2019, table 1). CLIP was trained with its
    last token, the only one that sees all the others. There is no dropout, so both players get the same features.
    """

    def __init__(self, model: PreTrainedModel):
        """`model`: a model from transformers that takes token ids and a mask, and pads on the right."""
        super().__init__()
        self.model = model
        if getattr(model, "pooler", None) is not None:
            model.register_module("pooler", None)  # it computes a vector from [CLS] that is not used here
        self.last = isinstance(model, CLIPTextModel)
        self.train(False)

    @property
    def width(self) -> int:
        """H, the width of the hidden states."""
        return self.model.config.hidden_size

    def train(self, mode: bool = True) -> "LanguageModel":
        return super().train(False)

    def forward(self, tokens: Tokens) -> Float[Tensor, "B T H"]:
        """The words: hidden states of the last layer; those at padding have no meaning."""
        return self.model(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state

    def sentence(self, words: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B H"]:
        """One vector for each caption: CLIP's last token, or the mean of BERT's."""
        count = reduce(mask.long(), "b t -> b", "sum")
        if self.last:
            return words[torch.arange(len(words), device=words.device), count - 1]
        return reduce(words * mask[..., None], "b t h -> b h", "sum") / rearrange(count, "b -> b 1")


def open_language_model(name: str, vocabulary: int, length: int, *, learns: bool) -> LanguageModel:
    """A language model by hub name or folder. On the meta device, only its configuration is read.

    Args:
        name: a name on the Hugging Face hub, such as "bert-base-uncased", or a folder.
        vocabulary: number of token ids of the tokenizer.
        length: tokens of the longest caption.
        learns: whether its weights are trained, and then saved with those of the run.

    Raises:
        LimnerError: if it cannot be found or downloaded, is damaged, is not a text model, or reads fewer tokens.
    """
    folder = Path(name).expanduser()
    source, local = (str(folder), True) if folder.is_dir() else (name, False)
    with _quietly(downloading=not local):
        config = _configuration(source, local)
        if length > (longest := getattr(config, "max_position_embeddings", length)):
            raise LimnerError(f"model: '{name}' reads at most {longest} tokens; set text.length to that or less.")
        kind: Any = CLIPTextModel if config.model_type == "clip_text_model" else AutoModel
        if torch.empty(0).is_meta or (learns and getattr(config, IN_THE_RUN, False)):
            model = _from_configuration(kind, config, source)
        else:
            model = _with_weights(kind, config, source, local)
    known = cast(int, model.get_input_embeddings().num_embeddings)
    if not torch.empty(0).is_meta and vocabulary > known:
        raise LimnerError(
            f"model: the tokenizer of '{name}' has {vocabulary} tokens and the model knows {known}; "
            "they do not belong together, so download both again."
        )
    return LanguageModel(model)


def save_language_model(language: LanguageModel, folder: Path, *, learns: bool) -> None:
    """Writes a language model so that `open_language_model` can read it; its weights only if they are not trained."""
    with _quietly():
        if not learns:
            language.model.save_pretrained(str(folder))
            return
        config = type(language.model.config).from_dict({**language.model.config.to_dict(), IN_THE_RUN: True})
        config.save_pretrained(str(folder))


def _configuration(source: str, local: bool) -> Any:
    """The configuration of the text part of a model."""
    if local and not (Path(source) / "config.json").is_file():
        raise LimnerError(f"model: the folder {source} is not a transformers model: it has no config.json.")
    try:
        config: Any = AutoConfig.from_pretrained(source, trust_remote_code=False, local_files_only=local)
    except OSError as error:
        if local:
            raise LimnerError(f"model: transformers cannot read '{source}': {_first_line(error)}") from None
        raise LimnerError(
            f"model: '{source}' is neither a folder with a model nor kept on this machine, and the hub cannot be "
            "reached or has no such model. Check the name and the connection, or give the folder of a model."
        ) from None
    except Exception as error:  # a configuration may hold anything
        if CODE in str(error):
            raise LimnerError(
                f"model: {f'{source}/config.json' if local else repr(source)} asks to run code of its own, and Limner "
                "runs code of plugins only; use a model that transformers knows."
            ) from None
        raise LimnerError(f"model: transformers cannot read '{source}': {_first_line(error)}") from None
    if config.model_type == "clip":
        return config.text_config
    if config.is_encoder_decoder or hasattr(config, "text_config") or not hasattr(config, "vocab_size"):
        raise LimnerError(
            f"model: '{source}' is a model of type '{config.model_type}'; use a BERT-like one, such as "
            "bert-base-uncased, or CLIP, such as openai/clip-vit-base-patch32."
        )
    layers = getattr(config, "num_hidden_layers", 0)
    if type(layers) is not int or not 0 <= layers <= MOST_LAYERS:
        raise LimnerError(f"model: '{source}' is damaged: it should have a number of layers, not {layers!r:.100}.")
    longest = getattr(config, "max_position_embeddings", 1)
    if type(longest) is not int:  # transformers 5.0 does not check it
        raise LimnerError(f"model: transformers cannot read '{source}': it should have a number of positions.")
    return config


def _from_configuration(kind: Any, config: Any, source: str) -> PreTrainedModel:
    """The model with fresh weights."""
    try:
        return kind.from_config(config, trust_remote_code=False) if kind is AutoModel else kind(config)
    except Exception as error:  # a configuration may hold anything
        raise LimnerError(f"model: '{source}' is damaged: {_first_line(error)}") from None


def _with_weights(kind: Any, config: Any, source: str, local: bool) -> PreTrainedModel:
    """The model with all of its weights, in float32, from safetensors only."""
    if local:
        with torch.device("meta"):  # where it takes no memory
            planned = _from_configuration(kind, config, source)
        _check_weights(planned, Path(source))
    try:
        model, found = kind.from_pretrained(
            source,
            output_loading_info=True,
            use_safetensors=True,
            dtype=torch.float32,
            trust_remote_code=False,
            local_files_only=local,
        )
    except Exception as error:  # files may hold anything
        raise LimnerError(
            f"model: the weights of '{source}' cannot be read: {_first_line(error)} "
            "They are expected as model.safetensors; download them again, or check the connection."
        ) from None
    if missing := sorted(weight for weight in found["missing_keys"] if not weight.startswith("pooler.")):
        raise LimnerError(f"model: '{source}' lacks weights, such as '{missing[0]}'; download it again.")
    return model


def _check_weights(planned: PreTrainedModel, folder: Path) -> None:
    """Check that a folder's weights are in plain files beside each other, and about as large as its model."""
    index, files = folder / "model.safetensors.index.json", list(folder.glob("*.safetensors"))
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise LimnerError(f"model: {index} is damaged: {_first_line(error)}") from None
        if odd := [name for name in names if not isinstance(name, str) or Path(name).name != name]:
            raise LimnerError(f"model: {index} is damaged: {odd[0]!r:.100} is no file beside it.")
    weights, stored = sum(weight.numel() for weight in planned.parameters()), sum(file.stat().st_size for file in files)
    if files and weights > 4 * stored:  # a weight has a byte or more, and several parts may share one
        raise LimnerError(
            f"model: the weights of '{folder}' cannot be read: {weights} do not fit into files of {stored} bytes; "
            "download them again."
        )


def _first_line(error: BaseException) -> str:
    """The first sentence of an error's message."""
    message = " ".join(str(error).split()).split(". ")[0][:200].rstrip(" .:")
    return f"{message}."


@contextmanager
def _quietly(downloading: bool = False) -> Iterator[None]:
    """Silences transformers, whose warnings are covered by the checks here; downloads keep their progress bar."""
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
