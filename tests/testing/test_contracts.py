"""The contract checks: what is well passes, and each broken promise is called by its name."""

import pytest
import torch
from einops import rearrange
from jaxtyping import Float
from limner import Attention, Dataset, LimnerError, Loss, Metric, TextFeatures, hookimpl
from limner.testing import (
    BagOfWords,
    BrokenPromise,
    ColoredSquares,
    FirstStage,
    LeastSquares,
    TinyDiscriminator,
    TinyGenerator,
    check_attention,
    check_dataset,
    check_discriminator,
    check_encoder,
    check_generator,
    check_loss,
    check_metric,
    check_plugin,
    check_stage,
    tiny_host,
    tiny_recipe,
)
from limner.training.loop import train
from torch import Tensor, nn


class Bias(Attention):
    """Adds the mean of the words, each through one linear map."""

    def __init__(self, sizes, channels, *, strength: float = 0.1):
        """`strength`: of what is added."""
        super().__init__(sizes, channels)
        self.value = nn.Linear(sizes.text, channels)
        self.strength = strength

    def forward(self, features: Float[Tensor, "B C H W"], text: TextFeatures) -> Float[Tensor, "B C H W"]:
        weights = text.mask / text.mask.sum(1, keepdim=True)  # [B, T]
        self.keep(rearrange(weights, "b t -> b 1 t 1 1").expand(-1, -1, -1, *features.shape[2:]))
        heard = (self.value(text.words) * weights[..., None]).sum(1)
        return features + self.strength * rearrange(heard, "b c -> b c 1 1").to(features.dtype)


class MeanColor(Metric):
    """The mean of all pixels of 8 pictures."""

    def measure(self, painter) -> dict[str, float]:
        return {"mean": float(painter.paint_images(["a plain red wall"] * 8).mean())}


MeanColor.measure.__annotations__["painter"] = object


def test_what_is_well_passes():
    check_encoder(BagOfWords, width=8)
    check_attention(Bias, strength=0.2)
    check_generator(TinyGenerator, noise=4)
    check_discriminator(TinyDiscriminator)
    check_stage(FirstStage, first=True)
    check_loss(LeastSquares)
    check_dataset(ColoredSquares)
    check_metric(MeanColor)


# --- broken promises --------------------------------------------------------------------------------------------------


class ReadsPadding(BagOfWords):
    """Sums padding, too."""

    def forward(self, tokens):
        words = self.embedding(tokens.ids)
        return TextFeatures(words * tokens.mask[..., None], words.sum(1), tokens.mask)

    forward.__annotations__ = BagOfWords.forward.__annotations__


class LooksAround(BagOfWords):
    """Takes the mean of the batch away."""

    def forward(self, tokens):
        text = super().forward(tokens)
        return TextFeatures(text.words, text.sentence - text.sentence.mean(0), text.mask)

    forward.__annotations__ = BagOfWords.forward.__annotations__


class Idle(BagOfWords):
    """Has weights that nothing reads."""

    def __init__(self, sizes, *, width: int = 16):
        """`width`: D."""
        super().__init__(sizes, width=width)
        self.idle = nn.Linear(3, 3)


class Forgets(BagOfWords):
    """Keeps a random tensor that is no buffer."""

    def __init__(self, sizes, *, width: int = 16):
        """`width`: D."""
        super().__init__(sizes, width=width)
        self.secret = torch.randn(width)

    def forward(self, tokens):
        text = super().forward(tokens)
        return TextFeatures(text.words, text.sentence * self.secret, text.mask)

    forward.__annotations__ = BagOfWords.forward.__annotations__


class Undocumented(BagOfWords):
    """Has an option that is explained nowhere."""

    def __init__(self, sizes, *, breadth: int = 16):
        super().__init__(sizes, width=breadth)


class Untyped(BagOfWords):
    """Has an option without a type."""

    def __init__(self, sizes, *, width=16):
        """`width`: D."""
        super().__init__(sizes, width=width)


class WrongDefault(BagOfWords):
    """Has a default that is not of its type."""

    def __init__(self, sizes, *, width: int = "16"):  # pyright: ignore[reportArgumentType]
        """`width`: D."""
        super().__init__(sizes, width=int(width))


class Bare(BagOfWords):
    def __init__(self, sizes, *, width: int = 16):
        """`width`: D."""
        super().__init__(sizes, width=width)


ENCODERS = {
    "padding": (ReadsPadding, "padding has no influence .* the sentence differs"),
    "others": (LooksAround, "a caption is read by itself, whatever stands beside it"),
    "idle weights": (Idle, r"gradients reach every one of its weights. But: none reaches idle\.weight"),
    "not saved": (Forgets, "saved and loaded, it computes the same.*is something no buffer"),
    "unexplained option": (Undocumented, "every option is explained in .*'breadth' is not mentioned"),
    "untyped option": (Untyped, "its options can be set in a recipe. But: the option 'width' has no type"),
    "wrong default": (WrongDefault, "its options can be set in a recipe. But: the option 'width': .*integer"),
    "no docstring": (Bare, "its docstring says what it is"),
}


@pytest.mark.parametrize(("encoder", "message"), ENCODERS.values(), ids=ENCODERS)
def test_a_broken_promise_of_an_encoder_is_told(encoder, message):
    with pytest.raises(BrokenPromise, match=f"(?s){encoder.__name__} must keep this promise: .*{message}|{message}"):
        check_encoder(encoder)


class Loud(Bias):
    """Adds a lot."""

    def forward(self, features, text):
        return super().forward(features, text) + 10

    forward.__annotations__ = Bias.forward.__annotations__


class Deaf(Bias):
    """Adds the same, whatever the words."""

    def forward(self, features, text):
        return features + 0.1 * rearrange(self.value.weight.mean(1) + self.value.bias, "c -> 1 c 1 1")

    forward.__annotations__ = Bias.forward.__annotations__


class KeepsAll(Bias):
    """Gives padding some weight."""

    def keep(self, weights):
        super().keep(weights + 0.1)


ATTENTIONS = {
    "far from the identity": (Loud, "begins as nearly the identity"),
    "deaf": (Deaf, "the words decide what is added"),
    "weights at padding": (KeepsAll, "with 0 at padding. But: padding has some"),
}


@pytest.mark.parametrize(("attention", "message"), ATTENTIONS.values(), ids=ATTENTIONS)
def test_a_broken_promise_of_an_attention_is_told(attention, message):
    with pytest.raises(BrokenPromise, match=f"{attention.__name__} must keep this promise.*{message}"):
        check_attention(attention)


class Blind(TinyGenerator):
    """Paints by the text alone."""

    def forward(self, noise, text):
        return super().forward(0 * noise, text)

    forward.__annotations__ = TinyGenerator.forward.__annotations__


class Bright(TinyGenerator):
    """Leaves the range of pixels."""

    def forward(self, noise, text):
        return [2 + image for image in super().forward(noise, text)]

    forward.__annotations__ = TinyGenerator.forward.__annotations__


@pytest.mark.parametrize(
    ("generator", "message"), [(Blind, "other noise paints the same"), (Bright, r"pixels outside \[-1, 1\]")]
)
def test_a_broken_promise_of_a_generator_is_told(generator, message):
    with pytest.raises(BrokenPromise, match=message):
        check_generator(generator)


class Whatever(TinyDiscriminator):
    """Judges without the text."""

    def judge(self, features, text):
        said = super().judge(features, text)
        match = features.mean((1, 2, 3))[:, None] + 0 * said.match
        return type(said)(match, None, features)

    judge.__annotations__ = TinyDiscriminator.judge.__annotations__


def test_a_broken_promise_of_a_discriminator_is_told():
    with pytest.raises(BrokenPromise, match="another text matches as well"):
        check_discriminator(Whatever)


class Vector(Loss):
    """Gives a number for each image."""

    def generator(self, step):
        return step.generated.match[:, 0]

    generator.__annotations__ = LeastSquares.generator.__annotations__


class Moves(Loss):
    """Trains by itself."""

    def generator(self, step):
        loss = step.generated.match.mean()
        loss.backward(retain_graph=True)
        return loss

    generator.__annotations__ = LeastSquares.generator.__annotations__


class Counts(Loss):
    """Costs more each time."""

    seen = 0

    def generator(self, step):
        self.seen += 1
        return self.seen * step.generated.match.mean()

    generator.__annotations__ = LeastSquares.generator.__annotations__


class Nothing(Loss):
    """Has no wish."""


LOSSES = {
    "no scalar": (Vector, "each side is one finite number"),
    "moves by itself": (Moves, "it moves nothing by itself"),
    "counts": (Counts, "the same step costs the same"),
    "no side": (Nothing, "it says what a player wants"),
}


@pytest.mark.parametrize(("loss", "message"), LOSSES.values(), ids=LOSSES)
def test_a_broken_promise_of_a_loss_is_told(loss, message):
    with pytest.raises(BrokenPromise, match=message):
        check_loss(loss)


class Doubles(Dataset):
    """Gives an image of twice the size."""

    def load(self):
        return ColoredSquares(2 * self.image_size).load()


class Draws(Metric):
    """Draws from torch's own source."""

    def measure(self, painter) -> dict[str, float]:
        return {"luck": float(torch.randn(()))}

    measure.__annotations__["painter"] = object


def test_a_broken_promise_of_a_data_set_or_a_metric_is_told():
    with pytest.raises(BrokenPromise, match=r"of the size that is asked for, 16\. But: the pixels are"):
        check_dataset(Doubles)
    with pytest.raises(BrokenPromise, match="nobody else's chance is disturbed"):
        check_metric(Draws)


# --- hosts and recipes --------------------------------------------------------------------------------------------


def test_a_tiny_host_has_the_tiny_parts_and_what_it_is_given():
    host = tiny_host(loss={"mine": LeastSquares})
    assert list(host.components("loss")) == ["mine", "tiny"]
    train(tiny_recipe(losses={"mine": {"weight": 2.0}}), plugins=host, callbacks=[])
    with pytest.raises(LimnerError, match="there is no loss 'hinge'"):
        host.load("loss", "hinge")


def test_a_plugin_that_is_broken_is_told():
    class Broken:
        @hookimpl
        def limner_losses(self):
            return {"mine": "no_such_module:Loss"}

    with pytest.raises(LimnerError, match="could not be imported from 'no_such_module:Loss'"):
        check_plugin(Broken())

    class Misspelt:
        @hookimpl
        def limner_loses(self):
            return {}

    with pytest.raises(AssertionError, match="no hook 'limner_loses', did you mean 'limner_losses'"):
        check_plugin(Misspelt())
