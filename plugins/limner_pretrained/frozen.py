"""A language model that does not learn: what it says of a caption never changes, so it is asked only once."""

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

ROWS = 64  # captions read at once


class FrozenLanguage:
    """A frozen language model, and on disk what it has said of captions before.

    It is no part of the encoder's weights: nothing of it is trained, averaged, checked or saved with every picture, and
    all copies of an encoder share it. Captions of equal length are read together and so without any padding; what is
    said of a caption is a function of its token ids alone, and remembered by the model's fingerprint and these.
    """

    def __init__(self, language: LanguageModel, gigabytes: float, folder: Path):
        """`gigabytes`: of the cache at most, 0 for none; `folder`: where the caches of all models lie."""
        self.language = language.requires_grad_(False)
        self.gigabytes, self.folder = gigabytes, folder

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenLanguage":
        return self

    @torch.no_grad()
    def __call__(self, tokens: Tokens, remember: bool) -> Float[Tensor, "B T H"]:
        """The words, in float32 whatever autocast says, zero at padding; `remember`: by the cache on disk."""
        lengths = tokens.mask.sum(1).tolist()
        captions = [tuple(row[:length]) for row, length in zip(tokens.ids.tolist(), lengths)]
        distinct = list(dict.fromkeys(captions))
        cache = self.cache if remember and self.gigabytes else None
        said = {} if cache is None else cache.find(distinct)
        new = self.read([caption for caption in distinct if caption not in said], tokens.ids.device)
        if cache is not None and new:
            cache.add(new)
        said |= new
        words = torch.zeros(*tokens.ids.shape, self.language.width)
        for row, caption in enumerate(captions):
            words[row, : len(caption)] = said[caption]
        return words.to(tokens.ids.device)

    def read(
        self, captions: list[tuple[int, ...]], device: torch.device
    ) -> dict[tuple[int, ...], Float[Tensor, "_ H"]]:
        """What the model itself says of captions, given as token ids without padding."""
        said: dict[tuple[int, ...], Tensor] = {}
        if self.language.model.device != device:
            self.language.to(device)
        with torch.autocast(device.type, enabled=False):
            for _, alike in groupby(sorted(captions, key=len), key=len):
                for ids in torch.tensor(list(alike)).split(ROWS):
                    words = self.language(Tokens(ids.to(device), torch.ones_like(ids, dtype=torch.bool).to(device)))
                    said |= {tuple(row): heard for row, heard in zip(ids.tolist(), words.cpu())}
        return said

    @cached_property
    def cache(self) -> FeatureCache:
        """What this very model has said; another one, or another release of transformers, has a cache of its own."""
        return FeatureCache(self.folder / f"{self.fingerprint}.sqlite", self.language.width, self.gigabytes)

    @cached_property
    def fingerprint(self) -> str:
        """A number that models share only if they say the same: of all weights, and of how they are computed with."""
        config = self.language.model.config.to_dict()
        for key in ("_name_or_path", "architectures", "transformers_version"):  # where it came from
            config.pop(key, None)
        told = [
            transformers.__version__,
            type(self.language.model).__name__,
            json.dumps(config, sort_keys=True, default=str),
        ]
        digest = hashlib.blake2b("\n".join(told).encode(), digest_size=16)
        for name, weight in self.language.state_dict().items():
            digest.update(name.encode())
            digest.update(weight.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()
