"""From captions to tokens, with a tokenizer that is learned from the captions or belongs to a pretrained model."""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from limner.data.captions import LONGEST, storable
from limner.errors import LimnerError, quoted
from limner.types import Tokens

if TYPE_CHECKING:
    from limner.recipes.schema import Text

WORDS_FILE = "words.json"
WORD = re.compile("a+(?:'a+)*|o")  # in the shape of a text
LONGEST_WORD = 100  # letters; a longer one is unknown to WordPiece, and would take minutes to learn from


class Tokenizer:
    """Turns captions into `Tokens`, and knows the words of the training captions.

    A thin wrapper around a tokenizer of transformers (`self.inner`), so that a learned WordPiece tokenizer and that of
    a pretrained BERT are used alike.
    """

    def __init__(self, inner: PreTrainedTokenizerBase, words: Iterable[str], length: int):
        """`inner`: a tokenizer of transformers; `words`: of the training captions; `length`: of a caption, at most."""
        self.inner = inner
        self.words = frozenset(words)
        self.length = length

    @classmethod
    def learn(cls, captions: Sequence[str], settings: "Text", model: str | None = None) -> "Tokenizer":
        """The tokenizer that a recipe asks for: WordPiece learned from the captions, or a pretrained one.

        `model`: the pretrained model of the recipe's encoder, whose tokenizer is then used.

        Raises:
            LimnerError: if a pretrained tokenizer cannot be loaded, or has no padding token.
        """
        captions = [storable(caption) for caption in captions]
        name, place = (model, "encoder") if model else (settings.tokenizer, "text.tokenizer")
        inner = _pretrained(name, place) if name else _word_piece(captions, settings.vocabulary)
        return cls(inner, {word for caption in captions for word in split_words(caption)}, settings.length)

    def with_words(self, captions: Sequence[str]) -> "Tokenizer":
        """The same tokenizer, which also knows the words of further captions."""
        return Tokenizer(self.inner, self.words.union(*map(split_words, captions)), self.length)

    @property
    def vocabulary(self) -> int:
        """Number of token ids, so that every id is below it."""
        return len(self.inner)

    def __call__(self, captions: Sequence[str], full: bool = False) -> Tokens:
        """Tokens [B, T] of captions; T is the length of the longest, at most `length`, or always that if `full`."""
        texts = [self._readable(caption) for caption in captions]
        if self._frame:
            rows = self._rows_of_words(texts, *self._frame)
        else:
            rows = self._encode(texts, truncation=True, max_length=self.length)["input_ids"]
        lengths = np.array([len(row) for row in rows])
        mask = np.arange(self.length if full else lengths.max(initial=0)) < lengths[:, None]
        ids = np.full(mask.shape, self.inner.pad_token_id, dtype=np.int64)
        ids[mask] = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=lengths.sum())
        return Tokens(torch.from_numpy(ids), torch.from_numpy(mask))

    @cached_property
    def _frame(self) -> tuple[int, int] | None:
        """The tokens around those of the words, if each word has the same tokens wherever it stands, as in WordPiece.

        Then each distinct word is read once. Captions repeat their words, so this is several times as fast.
        """
        inner = getattr(self.inner, "backend_tokenizer", None)
        parts = inner and (inner.model, inner.normalizer, inner.pre_tokenizer)
        kinds = (models.WordPiece, normalizers.BertNormalizer, pre_tokenizers.BertPreTokenizer)
        across = any(t.lstrip or t.rstrip or " " in t.content for t in self.inner.added_tokens_decoder.values())
        if not parts or across or not all(map(isinstance, parts, kinds)):
            return None
        start, *pieces, end = self._encode("a word")["input_ids"]
        return (start, end) if pieces == self._encode("a word", add_special_tokens=False)["input_ids"] else None

    def _rows_of_words(self, texts: Sequence[str], start: int, end: int) -> list[list[int]]:
        """The tokens of each text, joined from those of its words, between `start` and `end`."""
        parts = [text.split(" ") for text in texts]
        words = list(dict.fromkeys(chain.from_iterable(parts)))
        found = self._encode(words, add_special_tokens=False)["input_ids"] if words else []
        tokens = dict(zip(words, found, strict=True))
        joined = ([start, *chain.from_iterable(tokens[word] for word in part)] for part in parts)
        return [[*row[: self.length - 1], end] for row in joined]

    def _encode(self, texts: str | list[str], **options: Any) -> Any:
        """What the inner tokenizer makes of texts.

        Raises:
            LimnerError: if its rules, which may be a stranger's, never come to an end with these texts.
        """
        try:
            return self.inner(texts, **options)
        except BaseException as error:  # a panic of Rust is no Exception
            if type(error).__name__ != "PanicException":
                raise
            raise LimnerError(f"The tokenizer cannot read {quoted(texts)}: {error}.") from None

    def _readable(self, caption: str) -> str:
        """The caption; without a final period if training captions had none, because it would be an unknown token."""
        text = storable(caption)
        return text if self._knows_periods else text.rstrip().removesuffix(".")

    @cached_property
    def _knows_periods(self) -> bool:
        return "." in self.inner.get_vocab()

    def count(self, caption: str) -> int:
        """The number of tokens of a caption before it is truncated."""
        return len(self._encode(self._readable(caption))["input_ids"])

    def pieces(self, caption: str) -> list[tuple[str, bool]]:
        """A caption's tokens as text, each with whether it belongs to a word or is special, such as [CLS]."""
        tokens = self.inner.convert_ids_to_tokens(self._encode(self._readable(caption))["input_ids"])
        marks = [mark for name, mark in self.inner.special_tokens_map.items() if name != "unk_token"]
        return [(self.inner.convert_tokens_to_string([token]).strip(), token not in marks) for token in tokens]

    def places(self, caption: str) -> list[tuple[int, int]]:
        """Where each token begins and ends in a caption; (0, 0) for special ones. Empty if it cannot tell."""
        if not self.inner.is_fast:
            return []
        return self._encode(self._readable(caption), return_offsets_mapping=True)["offset_mapping"]

    def check(self, prompt: str) -> list[str]:
        """The words of a prompt that were not in the training captions.

        Raises:
            LimnerError: if the prompt is empty, longer than the model reads, or says nothing that the captions said: no
                word of it was in them, and no word consists of tokens that were.
        """
        if not prompt.strip():
            raise LimnerError("The prompt is empty; say what to paint.")
        if len(prompt) > LONGEST:
            raise LimnerError(f"The prompt has {len(prompt)} letters, at most {LONGEST} are read; make it shorter.")
        prompt = storable(prompt)
        if (count := self.count(prompt)) > self.length:
            raise LimnerError(
                f"The prompt has {count} tokens and the model reads at most {self.length}; make it shorter."
            )
        words = dict.fromkeys(split_words(prompt))
        unknown = [word for word in words if word not in self.words]
        if len(unknown) == len(words) and not any(self._trained_ids.issuperset(self._ids([word])) for word in words):
            known = ", ".join(sorted(self.words, key=lambda word: (len(word), word))[-12:])
            raise LimnerError(
                f"No word of the prompt '{prompt:.200}' was in the training captions; the model knows "
                f"{len(self.words)} words{f', such as {known:.200}' if known else ''}."
            )
        return unknown

    @cached_property
    def _trained_ids(self) -> set[int]:
        """The tokens of the words of the training captions, without the token of what is unknown."""
        return self._ids(self.words) - {cast(int, self.inner.unk_token_id)}

    def _ids(self, words: Iterable[str]) -> set[int]:
        if not (texts := list(words)):
            return set()
        return {number for row in self._encode(texts, add_special_tokens=False)["input_ids"] for number in row}

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files and the known words into `folder`."""
        self.inner.save_pretrained(str(folder))
        content = {"length": self.length, "words": sorted(self.words)}
        (folder / WORDS_FILE).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read what `save` wrote."""
        content = json.loads((folder / WORDS_FILE).read_text(encoding="utf-8"))
        inner = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        words = {word for text in content["words"] for word in split_words(text)}  # once, Chinese was not split
        return cls(inner, words, content["length"])


def split_words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation. Each Chinese character and each emoji is a word.

    If a text has nothing but punctuation, its marks are its words.
    """
    text = unicodedata.normalize("NFC", text).lower()
    return [text[start:end] for start, end in word_places(text)]


def word_places(text: str) -> list[tuple[int, int]]:
    """Where each word of a text begins and ends."""
    shape = "".join(map(_shape, text))
    marks = [(place, place + 1) for place, mark in enumerate(text) if not mark.isspace()]
    return [match.span() for match in WORD.finditer(shape)] or marks


@cache
def _shape(letter: str) -> str:
    """What a letter is to `split_words`: part of a word (a), a word of its own (o), an apostrophe, or between words."""
    if letter in "'’":
        return "'"
    if letter == "\ufffd":  # of which nobody knows what it was
        return " "
    category = unicodedata.category(letter)
    if category == "So" or unicodedata.name(letter, "").startswith("CJK "):
        return "o"
    joining = category[0] in "LN" or (category[0] == "M" and not 0xFE00 <= ord(letter) <= 0xFE0F)
    return "a" if joining else " "


def _word_piece(captions: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """WordPiece (Schuster and Nakajima 2012) as BERT uses it, learned from the captions; padding has id 0."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    learning = _splitting_as_bert(models.WordPiece(unk_token="[UNK]"))
    # The trainer numbers the letters inside words in a different order in every run, and with them all longer pieces.
    # One seed would then give many models. Letters that are numbered beforehand keep their numbers.
    words = set(learning.normalizer.normalize_str(" ".join(captions)).split())
    pieces_of = {word: [piece for piece, _ in learning.pre_tokenizer.pre_tokenize_str(word)] for word in words}
    short = {word: [piece for piece in pieces if len(piece) <= LONGEST_WORD] for word, pieces in pieces_of.items()}
    if short != pieces_of:
        normalized = map(learning.normalizer.normalize_str, captions)
        captions = [" ".join(piece for word in text.split() for piece in short[word]) for text in normalized]
    letters = {letter for pieces in short.values() for piece in pieces for letter in piece[1:]}
    inside = [f"##{letter}" for letter in sorted(letters)]
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=special + inside, show_progress=False)
    learning.train_from_iterator(captions, trainer)
    fast = _splitting_as_bert(models.WordPiece(learning.get_vocab(), unk_token="[UNK]"))
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, fast.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=fast, **names)


def _splitting_as_bert(model: models.Model) -> FastTokenizer:
    """A tokenizer with this model that lowercases captions and splits them at spaces and punctuation."""
    fast = FastTokenizer(model)
    fast.normalizer = normalizers.BertNormalizer(lowercase=True)
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return fast


def _pretrained(name: str, place: str) -> PreTrainedTokenizerBase:
    """A tokenizer of transformers, padding on the right; `place` is where the recipe names it."""
    try:
        inner = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # its files may hold anything
        if "trust_remote_code" in str(error):
            raise LimnerError(
                f"{place}: the tokenizer '{name}' asks to run code of its own, and Limner runs code of plugins only; "
                "use one that transformers knows."
            ) from None
        inner = None
    if inner is None or len(inner) == len(inner.all_special_tokens):  # a folder without a tokenizer gives an empty one
        raise LimnerError(
            f"{place}: '{name}' is not a folder with a tokenizer and cannot be fetched from the hub; "
            "check the name and the connection."
        )
    if inner.pad_token is None:
        raise LimnerError(f"{place}: the tokenizer '{name}' has no padding token; use one that has, such as BERT's.")
    inner.padding_side = inner.truncation_side = "right"  # words are counted from the left
    return inner
