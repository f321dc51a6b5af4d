"""A text encoder that builds on a pretrained language model."""

from pathlib import Path
from typing import Annotated, cast

import torch
from jaxtyping import Float
from limner import Sizes, TextEncoder, TextFeatures, Tokens
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import rms_norm

from limner_pretrained.cache import cache_folder
from limner_pretrained.frozen import ROWS, FrozenLanguage
from limner_pretrained.language import LanguageModel, open_language_model, save_language_model
from limner_pretrained.whitening import Whitening


class PretrainedEncoder(TextEncoder):
    """BERT, CLIP or a similar language model, and two linear maps to the width of the features.

        h_1 ... h_n = LanguageModel(tokens),   word_t = A white(h_t) + a,   sentence = unit(B white'(pool(h)) + b)

    `pool` depends on the language model: the mean, or CLIP's last token. `unit` scales to root mean square 1, so that a
    sentence has the scale of the noise from the first step on. `white` and `white'` whiten words and sentences (see
    `Whitening`); they are measured once, on training captions. With a frozen language model, h is computed once for
    each caption and cached on disk. Captions are tokenized with the language model's own tokenizer.
    """

    pretrained = "model"

    def __init__(
        self,
        sizes: Sizes,
        *,
        model: str,
        width: Annotated[int, Field(ge=4)] = 128,
        whiten: bool = True,
        fine_tune: Annotated[float, Field(ge=0, le=1)] = 0.0,
        cache: Annotated[float, Field(ge=0)] = 4.0,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            model: a BERT-like or CLIP text model, by its name on the Hugging Face hub, or a folder.
            width: D, of the features.
            whiten: whether to whiten the outputs of the language model; what is measured stays as it is.
            fine_tune: 0 freezes the language model; otherwise it learns with this fraction of the discriminator's
                learning rate: one fiftieth of 1e-3 is the 2e-5 that BERT is usually fine-tuned with.
            cache: how many gigabytes on disk the features of a frozen language model may take; 0 for no cache.

        Raises:
            LimnerError: if the model cannot be found or downloaded, or is of another type.
        """
        super().__init__(sizes)
        self.width = width
        learns = fine_tune > 0
        language = open_language_model(model, sizes.vocabulary, sizes.length, learns=learns)
        self.white_word = Whitening(language.width) if whiten else nn.Identity()
        self.white_sentence = Whitening(language.width) if whiten else nn.Identity()
        self.word = nn.Linear(language.width, width)
        self.sentence = nn.Linear(language.width, width)
        self.frozen = None if learns else FrozenLanguage(language, cache, cache_folder())
        self.learning = language if learns else None
        for weight in language.parameters() if learns else ():
            weight.lr_scale = fine_tune  # pyright: ignore[reportAttributeAccessIssue]

    def forward(self, tokens: Tokens) -> TextFeatures:
        hidden = self.hidden_states(tokens)
        words = self.word(self.white_word(hidden)) * tokens.mask[..., None]
        sentence = self.sentence(self.white_sentence(self.language.sentence(hidden, tokens.mask)))
        return TextFeatures(words, rms_norm(sentence.float(), (self.width,)), tokens.mask)

    @torch.no_grad()
    def fit(self, tokens: Tokens) -> None:
        if isinstance(self.white_word, Whitening) and isinstance(self.white_sentence, Whitening):
            hidden = torch.cat([self.hidden_states(tokens[rows]) for rows in torch.arange(len(tokens)).split(ROWS)])
            self.white_word.fit(hidden[tokens.mask])
            self.white_sentence.fit(self.language.sentence(hidden, tokens.mask))

    def hidden_states(self, tokens: Tokens) -> Float[Tensor, "B T H"]:
        """The language model's last hidden states; those of a frozen one come from the cache in training mode."""
        if self.frozen:
            return self.frozen(tokens, use_cache=self.training)
        return self.language(tokens)

    @property
    def language(self) -> LanguageModel:
        """The language model, frozen or learning."""
        return self.frozen.language if self.frozen else cast(LanguageModel, self.learning)

    def save_pretrained(self, folder: Path) -> None:
        save_language_model(self.language, folder, learns=self.frozen is None)
