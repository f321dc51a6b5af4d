"""A frozen language model: the features of a caption never change, so they are computed only once."""

import hashlib
import json
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
import transformers
from jaxtyping import Float
from limner import Tokens
from torch import Tensor

from limner_pretrained.cache import FeatureCache
from limner_pretrained.language import LanguageModel

ROWS = 64  # captions per forward pass


class FrozenLanguage:
    """A frozen language model with a cache of its features on disk.

    It is not a submodule of the encoder. Its weights are not trained, averaged, checked or saved with every checkpoint,
    and all copies of an encoder share it. Captions of equal length are encoded together, so there is no padding. The
    features of a caption therefore depend on its token ids alone. They are cached under these and the fingerprint of
    the model.
    """

    def __init__(self, language: LanguageModel, gigabytes: float, folder: Path):
        """`gigabytes`: the largest size of the cache, 0 for no cache; `folder`: holds the caches of all models."""
        self.language = language.requires_grad_(False)
        self.gigabytes, self.folder = gigabytes, folder

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenLanguage":
        return self

    @torch.no_grad()
    def __call__(self, tokens: Tokens, use_cache: bool) -> Float[Tensor, "B T H"]:
        """The hidden states of the words, in float32 even under autocast, zero at padding."""
        lengths = tokens.mask.sum(1).tolist()
        captions = [tuple(row[:length]) for row, length in zip(tokens.ids.tolist(), lengths)]
        distinct = list(dict.fromkeys(captions))
        cache = self.cache if use_cache and self.gigabytes else None
        features = {} if cache is None else cache.find(distinct)
        new = self.encode([caption for caption in distinct if caption not in features], tokens.ids.device)
        if cache is not None and new:
            cache.add(new)
        features |= new
        words = torch.zeros(*tokens.ids.shape, self.language.width)
        for row, caption in enumerate(captions):
            words[row, : len(caption)] = features[caption]
        return words.to(tokens.ids.device)

    def encode(
        self, captions: list[tuple[int, ...]], device: torch.device
    ) -> dict[tuple[int, ...], Float[Tensor, "_ H"]]:
        """The hidden states of captions, given as token ids without padding, computed by the model."""
        features: dict[tuple[int, ...], Tensor] = {}
        if self.language.model.device != device:
            self.language.to(device)
        with torch.autocast(device.type, enabled=False):
            for _, of_one_length in groupby(sorted(captions, key=len), key=len):
                for ids in torch.tensor(list(of_one_length)).split(ROWS):
                    hidden = self.language(Tokens(ids.to(device), torch.ones_like(ids, dtype=torch.bool).to(device)))
                    features |= {tuple(row): words for row, words in zip(ids.tolist(), hidden.cpu())}
        return features

    @cached_property
    def cache(self) -> FeatureCache:
        """The cache of this model; another model, or another version of transformers, has a cache of its own."""
        return FeatureCache(self.folder / f"{self.fingerprint}.sqlite", self.language.width, self.gigabytes)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all weights and of how they are used: models share it only if they compute the same features."""
        config = self.language.model.config.to_dict()
        for key in ("_name_or_path", "architectures", "transformers_version"):  # where it came from
            config.pop(key, None)
        description = [
            transformers.__version__,
            type(self.language.model).__name__,
            json.dumps(config, sort_keys=True, default=str),
        ]
        digest = hashlib.blake2b("\n".join(description).encode(), digest_size=16)
        for name, weight in self.language.state_dict().items():
            digest.update(name.encode())
            digest.update(weight.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()
