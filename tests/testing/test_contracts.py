"""The contract checks: sound components pass, and each broken promise is named."""

from copy import deepcopy

import pytest
import torch
from einops import rearrange
from jaxtyping import Float
from limner import Attention, Dataset, LimnerError, Loss, Metric, TextFeatures, hookimpl
from limner.kinds import KINDS
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
    """Adds the mean of the words, after a linear layer."""

    def __init__(self, sizes, channels, *, strength: float = 0.1):
        """`strength`: of what is added."""
        super().__init__(sizes, channels)
        self.value = nn.Linear(sizes.text, channels)
        self.strength = strength

    def forward(self, features: Float[Tensor, "B C H W"], text: TextFeatures) -> Float[Tensor, "B C H W"]:
        weights = text.mask / text.mask.sum(1, keepdim=True)  # [B, T]
        self.keep(rearrange(weights, "b t -> b 1 t 1 1").expand(-1, -1, -1, *features.shape[2:]))
        mean = (self.value(text.words) * weights[..., None]).sum(1)
        return features + self.strength * rearrange(mean, "b c -> b c 1 1").to(features.dtype)


class MeanColor(Metric):
    """The mean of all pixels of 8 images."""

    def measure(self, painter) -> dict[str, float]:
        return {"mean": float(painter.paint_images(["a plain red wall"] * 8).mean())}


MeanColor.measure.__annotations__["painter"] = object


def test_sound_components_pass():
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
    """Subtracts the mean of the batch."""

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
    """Has a random tensor that is not a buffer."""

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
    "others": (LooksAround, "a caption is encoded by itself, whatever else is in the batch"),
    "idle weights": (Idle, r"gradients reach every one of its weights. But: none reaches idle\.weight"),
    "not saved": (Forgets, "saved and loaded, it computes the same.*are all constant tensors buffers"),
    "unexplained option": (Undocumented, "every option is explained in .*'breadth' is not mentioned"),
    "untyped option": (Untyped, "its options can be set in a recipe. But: the option 'width' has no type"),
    "wrong default": (WrongDefault, "its options can be set in a recipe. But: the option 'width': .*integer"),
    "no docstring": (Bare, "it has a docstring"),
}


@pytest.mark.parametrize(("encoder", "message"), ENCODERS.values(), ids=ENCODERS)
def test_a_broken_promise_of_an_encoder_is_named(encoder, message):
    with pytest.raises(BrokenPromise, match=f"(?s){encoder.__name__} must keep this promise: .*{message}|{message}"):
        check_encoder(encoder)


class AddsTooMuch(Bias):
    """Adds too much."""

    def forward(self, features, text):
        return super().forward(features, text) + 10

    forward.__annotations__ = Bias.forward.__annotations__


class IgnoresWords(Bias):
    """Adds the same for all words."""

    def forward(self, features, text):
        return features + 0.1 * rearrange(self.value.weight.mean(1) + self.value.bias, "c -> 1 c 1 1")

    forward.__annotations__ = Bias.forward.__annotations__


class KeepsAll(Bias):
    """Gives weight to padding."""

    def keep(self, weights):
        super().keep(weights + 0.1)


ATTENTIONS = {
    "far from the identity": (AddsTooMuch, "starts as nearly the identity"),
    "ignores words": (IgnoresWords, "every word decides what is added"),
    "weights at padding": (KeepsAll, "with 0 at padding. But: padding has some"),
}


@pytest.mark.parametrize(("attention", "message"), ATTENTIONS.values(), ids=ATTENTIONS)
def test_a_broken_promise_of_an_attention_is_named(attention, message):
    with pytest.raises(BrokenPromise, match=f"{attention.__name__} must keep this promise.*{message}"):
        check_attention(attention)


class IgnoresNoise(TinyGenerator):
    """Uses the text alone."""

    def forward(self, noise, text):
        return super().forward(0 * noise, text)

    forward.__annotations__ = TinyGenerator.forward.__annotations__


class TooBright(TinyGenerator):
    """Leaves the range of pixels."""

    def forward(self, noise, text):
        return [2 + image for image in super().forward(noise, text)]

    forward.__annotations__ = TinyGenerator.forward.__annotations__


@pytest.mark.parametrize(
    ("generator", "message"),
    [(IgnoresNoise, "other noise gives the same image"), (TooBright, r"pixels outside \[-1, 1\]")],
)
def test_a_broken_promise_of_a_generator_is_named(generator, message):
    with pytest.raises(BrokenPromise, match=message):
        check_generator(generator)


class IgnoresText(TinyDiscriminator):
    """Judges without the text."""

    def judge(self, features, text):
        judged = super().judge(features, text)
        match = features.mean((1, 2, 3))[:, None] + 0 * judged.match
        return type(judged)(match, None, features)

    judge.__annotations__ = TinyDiscriminator.judge.__annotations__


def test_a_broken_promise_of_a_discriminator_is_named():
    with pytest.raises(BrokenPromise, match="another text matches as well"):
        check_discriminator(IgnoresText)


class PerImage(Loss):
    """Returns a number for each image."""

    def generator(self, step):
        return step.generated.match[:, 0]

    generator.__annotations__ = LeastSquares.generator.__annotations__


class BackwardItself(Loss):
    """Calls backward itself."""

    def generator(self, step):
        loss = step.generated.match.mean()
        loss.backward(retain_graph=True)
        return loss

    generator.__annotations__ = LeastSquares.generator.__annotations__


class Counts(Loss):
    """Is larger each time."""

    seen = 0

    def generator(self, step):
        self.seen += 1
        return self.seen * step.generated.match.mean()

    generator.__annotations__ = LeastSquares.generator.__annotations__


class Nothing(Loss):
    """Adds no term."""


LOSSES = {
    "no scalar": (PerImage, "each term is one finite number"),
    "backward": (BackwardItself, "it leaves gradients and optimizer steps to the training loop"),
    "counts": (Counts, "the same step gives the same terms"),
    "no term": (Nothing, "it adds a term for a player"),
}


@pytest.mark.parametrize(("loss", "message"), LOSSES.values(), ids=LOSSES)
def test_a_broken_promise_of_a_loss_is_named(loss, message):
    with pytest.raises(BrokenPromise, match=message):
        check_loss(loss)


class Doubles(Dataset):
    """Returns images of twice the size."""

    def load(self):
        return ColoredSquares(2 * self.image_size).load()


class Unreadable(ColoredSquares):
    """Passes the checks before training, and cannot be read after that."""

    loads = 0

    def load(self):
        type(self).loads += 1
        if self.loads > 4:
            raise LimnerError("The disk is gone.")
        return super().load()


class Draws(Metric):
    """Draws from torch's global generator."""

    def measure(self, painter) -> dict[str, float]:
        return {"luck": float(torch.randn(()))}

    measure.__annotations__["painter"] = object


def test_a_broken_promise_of_a_data_set_or_metric_is_named():
    with pytest.raises(BrokenPromise, match=r"of the size that is asked for, 16\. But: the pixels are"):
        check_dataset(Doubles)
    with pytest.raises(BrokenPromise, match="torch's random state is not disturbed"):
        check_metric(Draws)


# --- the host is left as it was -------------------------------------------------------------------------------------


def state_of(host):
    return host.plugins, {kind: host.components(kind) for kind in KINDS}, host.clashes, host.manager.get_plugins()


@pytest.mark.parametrize(
    ("check", "sound", "broken"),
    [(check_loss, LeastSquares, PerImage), (check_dataset, ColoredSquares, Unreadable)],
    ids=["loss", "dataset"],
)
def test_a_host_is_left_as_it_was_also_by_a_failing_check(check, sound, broken):
    host = tiny_host()
    before = deepcopy(state_of(host)[:3]), state_of(host)[3]
    for _ in range(2):
        check(sound, host=host)
        with pytest.raises(BrokenPromise):
            check(broken, host=host)
    assert (state_of(host)[:3], state_of(host)[3]) == before


def test_a_failing_check_fails_for_its_own_reason():
    host = tiny_host()
    check_loss(LeastSquares, host=host)
    with pytest.raises(BrokenPromise, match="each term is one finite number"):
        check_loss(PerImage, host=host)


# --- hosts and recipes --------------------------------------------------------------------------------------------


def test_a_tiny_host_has_the_tiny_and_the_given_components():
    host = tiny_host(loss={"mine": LeastSquares})
    assert list(host.components("loss")) == ["mine", "tiny"]
    train(tiny_recipe(losses={"mine": {"weight": 2.0}}), plugins=host, callbacks=[])
    with pytest.raises(LimnerError, match="there is no loss 'hinge'"):
        host.load("loss", "hinge")


def test_check_plugin_finds_a_broken_plugin():
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
