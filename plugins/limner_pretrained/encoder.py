"""The text encoder that builds on a pretrained language model."""

from pathlib import Path
from typing import Annotated, cast

from jaxtyping import Float
from limner import Sizes, TextEncoder, TextFeatures, Tokens
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import rms_norm

from limner_pretrained.cache import cache_folder
from limner_pretrained.frozen import FrozenLanguage
from limner_pretrained.language import LanguageModel, open_language_model, save_language_model


class PretrainedEncoder(TextEncoder):
    """BERT, CLIP or their like, which read more than any captions of ours, and two linear maps to the model's width.

        h_1 ... h_n = LanguageModel(tokens),   word_t = A h_t + a,   sentence = unit(B pool(h) + b)

    `pool` is that of the language model (its mean, or CLIP's last token), `unit` makes the root-mean-square 1, so that
    a sentence weighs as much as the noise from the first step on. Frozen, h is computed once for each caption and then
    remembered on disk. Captions are read with the language model's own tokenizer.
    """

    pretrained = "model"

    def __init__(
        self,
        sizes: Sizes,
        *,
        model: str,
        width: Annotated[int, Field(ge=4)] = 128,
        fine_tune: Annotated[float, Field(ge=0, le=1)] = 0.0,
        cache: Annotated[float, Field(ge=0)] = 4.0,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            model: a BERT-like or CLIP text model, by the name that transformers' hub has for it, or a folder.
            width: D, of the features.
            fine_tune: 0 leaves the language model as it is; otherwise it learns at this share of the discriminator's
                rate: one fiftieth of 1e-3 is the 2e-5 that BERT is usually fine-tuned with.
            cache: gigabytes that frozen features may take on disk, for each language model; 0 for none.

        Raises:
            LimnerError: when the model is not there and cannot be fetched, or is no such model.
        """
        super().__init__(sizes)
        self.width = width
        learns = fine_tune > 0
        language = open_language_model(model, sizes.vocabulary, sizes.length, learns=learns)
        self.word = nn.Linear(language.width, width)
        self.sentence = nn.Linear(language.width, width)
        self.frozen = None if learns else FrozenLanguage(language, cache, cache_folder())
        self.learning = language if learns else None
        for weight in language.parameters() if learns else ():
            weight.lr_scale = fine_tune  # pyright: ignore[reportAttributeAccessIssue]

    def forward(self, tokens: Tokens) -> TextFeatures:
        heard = self.hear(tokens)
        words = self.word(heard) * tokens.mask[..., None]
        sentence = self.sentence(self.language.sentence(heard, tokens.mask))
        return TextFeatures(words, rms_norm(sentence.float(), (self.width,)), tokens.mask)

    def hear(self, tokens: Tokens) -> Float[Tensor, "B T H"]:
        """What the language model says of the tokens; while training, a frozen one says it from its cache."""
        if self.frozen:
            return self.frozen(tokens, remember=self.training)
        return self.language(tokens)

    @property
    def language(self) -> LanguageModel:
        """The language model, frozen or learning."""
        return self.frozen.language if self.frozen else cast(LanguageModel, self.learning)

    def save_pretrained(self, folder: Path) -> None:
        save_language_model(self.language, folder, learns=self.frozen is None)
