"""The contracts of the networks: text encoders, attention, stages, generators and discriminators."""

from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor

from limner.interfaces import Attention, Discriminator, Generator, Stage, TextEncoder
from limner.testing.checks import (
    CPU,
    LENGTHS,
    Values,
    Violation,
    captions,
    check_description,
    check_gradients,
    check_network,
    moved,
    normal,
    promise,
    require,
    require_same,
    tokens,
    weighted_sum,
)
from limner.testing.tiny import FirstStage, tiny_sizes
from limner.types import Canvas, Sizes, Tokens

CHANNELS = 8  # of the feature maps that an attention gets

# --- text encoders -----------------------------------------------------------------------------------------------


def check_encoder(component: type[TextEncoder], *, sizes: Sizes | None = None, **options: Any) -> None:
    """Check that a text encoder keeps the promises of its interface.

    Args:
        component: the class.
        sizes: for its constructor; small ones by default.
        options: for its constructor.

    Raises:
        BrokenPromise: for the first promise that it breaks.
    """
    known = sizes or tiny_sizes()
    check_description(component, ["forward"], options)

    def build() -> TextEncoder:
        return component(known, **options)

    def apply(encoder: TextEncoder, device: torch.device) -> Values:
        text = encoder(tokens(known).to(device))
        return text.words, text.sentence

    encoder = check_network(component, build, apply)
    _check_encoder_shapes(component, encoder, known)
    _check_encoder_padding(component, encoder, known)
    encoder.eval()
    with promise(component, "a caption is encoded by itself, whatever else is in the batch"), torch.no_grad():
        alone, beside = encoder(tokens(known, LENGTHS[:1])), encoder(tokens(known))
        require_same((alone.sentence[0],), (beside.sentence[0],), "beside others its sentence differs")
    with promise(component, "other words give another sentence"), torch.no_grad():
        other = Tokens(tokens(known).ids.roll(1, 0), tokens(known).mask)
        require(not torch.allclose(encoder(other).sentence, encoder(tokens(known)).sentence), "it is the same.")
    check_gradients(component, encoder, apply)


def _check_encoder_shapes(component: type, encoder: TextEncoder, sizes: Sizes) -> None:
    with promise(
        component, "words are [B, T, D], the sentence is [B, D], D is `width`, and the mask is that of the tokens"
    ):
        for lengths in ((3,), (1, 5), (sizes.length, 2, 6)):
            read = tokens(sizes, lengths)
            text = encoder(read)
            batch, longest = read.ids.shape
            require(text.words.shape == (batch, longest, encoder.width), f"words are {tuple(text.words.shape)}.")
            require(text.sentence.shape == (batch, encoder.width), f"the sentence is {tuple(text.sentence.shape)}.")
            require(torch.equal(text.mask, read.mask), "the mask differs.")


def _check_encoder_padding(component: type, encoder: TextEncoder, sizes: Sizes) -> None:
    padded = {"more padding": tokens(sizes, width=sizes.length), "other ids there": tokens(sizes, padding=7)}
    for mode in ("training", "evaluation"):
        encoder.train(mode == "training")
        with promise(component, f"padding has no influence (in {mode} mode)"), torch.no_grad():
            for name, read in padded.items():
                torch.manual_seed(3)
                plain = encoder(tokens(sizes))
                torch.manual_seed(3)
                text = encoder(read)
                require_same((plain.sentence,), (text.sentence,), f"with {name} the sentence differs")
                longest = plain.words.shape[1]
                require_same((plain.words,), (text.words[:, :longest],), f"with {name} the words differ")
                require(bool((text.words[~text.mask] == 0).all()), "words at padding are not zero.")


# --- attention ---------------------------------------------------------------------------------------------------


def check_attention(component: type[Attention], **options: Any) -> None:
    """Check that an attention keeps the promises of its interface; `options` are for its constructor.

    Raises:
        BrokenPromise: for the first promise that it breaks.
    """
    sizes = tiny_sizes()
    check_description(component, ["forward"], options)

    def build() -> Attention:
        return component(sizes, CHANNELS, **options)

    def apply(attention: Attention, device: torch.device) -> Values:
        return (attention(normal(3, CHANNELS, 4, 4).to(device), moved(captions(sizes), device)),)

    attention = check_network(component, build, apply)
    with promise(component, "the output has the shape of the input, whatever its size"):
        for batch, height, width in ((1, 1, 1), (3, 4, 4), (3, 6, 10), (2, 16, 16)):
            features = normal(batch, CHANNELS, height, width)
            shape = attention(features, captions(sizes, LENGTHS[:batch])).shape
            require(shape == features.shape, f"{tuple(features.shape)} became {tuple(shape)}.")
    with promise(component, "it starts as nearly the identity"), torch.no_grad():
        features = normal(3, CHANNELS, 8, 8)
        added = (attention(features, captions(sizes)) - features).square().mean().sqrt()
        require(added < 0.3, f"it adds {added:.2f} to a map whose root mean square is 1.")
    check_gradients(component, attention, apply)
    _check_attention_influences(component, attention, sizes)
    _check_attention_weights(component, attention, sizes)


def _check_attention_influences(component: type, attention: Attention, sizes: Sizes) -> None:
    with promise(component, "every word decides what is added, and no padding does"):
        text, features = captions(sizes), normal(3, CHANNELS, 4, 4).requires_grad_()
        text.words.requires_grad_()
        by_word, by_map = torch.autograd.grad(weighted_sum((attention(features, text),)), [text.words, features])
        require(bool((by_word[text.mask] != 0).any(1).all()), "nothing depends on some of the words.")
        require(bool((by_word[~text.mask] == 0).all()), "something depends on padding.")
        require(bool((by_map != 0).any()), "nothing depends on the map.")
    with promise(component, "padding and the other captions of the batch have no influence"), torch.no_grad():
        features = normal(3, CHANNELS, 4, 4)
        plain = attention(features, captions(sizes))
        padded = attention(features, captions(sizes, width=12))
        require_same((padded,), (plain,), "with more padding the map differs")
        alone = attention(features[:1], captions(sizes, LENGTHS[:1]))
        require_same((alone[0],), (plain[0],), "beside others the map differs")


def _check_attention_weights(component: type, attention: Attention, sizes: Sizes) -> None:
    with promise(component, "it keeps its weights on request, [B, M, T, ...], with 0 at padding"), torch.no_grad():
        require(attention.weights is None, "it keeps them without a request.")
        features, text = normal(3, CHANNELS, 4, 4), captions(sizes)
        plain = attention(features, text)
        attention.keep_weights = True
        require_same((attention(features, text),), (plain,), "keeping them changes the map", tolerance=1e-4)
        weights = attention.weights
        if weights is None:
            raise Violation("none were kept; pass them to `self.keep(weights)`.")
        require(weights.ndim >= 3 and weights.shape[0] == 3, f"they are {tuple(weights.shape)}.")
        require(weights.shape[2] in (1, max(LENGTHS)), f"they are {tuple(weights.shape)}: T is {max(LENGTHS)}.")
        if weights.shape[2] > 1:
            at_padding = rearrange(weights, "b m t ... -> b t m ...")[~text.mask]
            require(bool((at_padding == 0).all()), "padding has some.")


# --- stages ------------------------------------------------------------------------------------------------------


def check_stage(component: type[Stage], *, first: bool = False, **options: Any) -> None:
    """Check that a stage keeps the promises of its interface.

    Args:
        component: the class.
        first: whether it is the first stage, which starts from noise and text. Otherwise it follows a stage whose
            hidden map and image are 4 x 4.
        options: for its constructor.

    Raises:
        BrokenPromise: for the first promise that it breaks.
    """
    sizes = tiny_sizes()
    check_description(component, ["forward"], options)
    before = None if first else FirstStage(sizes, None)

    def build() -> Stage:
        return component(sizes, before, **options)

    def canvas(rows: int, device: torch.device = CPU) -> Canvas | None:
        if before is None:
            return None
        hidden, image = normal(rows, before.channels, 4, 4), normal(rows, 3, 4, 4, seed=1).tanh()
        return Canvas(hidden.to(device), image.to(device))

    def apply(stage: Stage, device: torch.device, width: int = 0) -> Values:
        noise = normal(3, sizes.noise, seed=4).to(device)
        made = stage(canvas(3, device), noise, moved(captions(sizes, width=width), device))
        return made.hidden, made.image

    stage = check_network(component, build, apply)
    with promise(component, "its canvas has the sizes that it announces"):
        for rows in (1, 3):
            made = stage(canvas(rows), normal(rows, sizes.noise), captions(sizes, LENGTHS[:rows]))
            announced = (rows, stage.channels, stage.map_size, stage.map_size), (rows, 3, stage.size, stage.size)
            found = tuple(made.hidden.shape), tuple(made.image.shape)
            require(found == announced, f"it announces {announced} and returns {found}.")
            require(bool((made.image.abs() <= 1).all()), "there are pixels outside [-1, 1].")
    if before is not None:
        with promise(component, "its image is larger than the one before"):
            require(stage.size > before.size, f"{before.size} pixels became {stage.size}.")
    with promise(component, "padding has no influence"), torch.no_grad():
        require_same(apply(stage, CPU, width=12), apply(stage, CPU), "with more padding the canvas differs")
    check_gradients(component, stage, apply)


# --- generators --------------------------------------------------------------------------------------------------


def check_generator(component: type[Generator], *, sizes: Sizes | None = None, **options: Any) -> None:
    """Check that a generator keeps the promises of its interface; `sizes` and `options` are for its constructor.

    Raises:
        BrokenPromise: for the first promise that it breaks.
    """
    known = sizes or tiny_sizes()
    check_description(component, ["forward"], options)

    def build() -> Generator:
        return component(known, **options)

    def apply(generator: Generator, device: torch.device) -> Values:
        noise = normal(3, generator.noise_width, seed=4).to(device)
        return tuple(generator(noise, moved(captions(known), device)))

    generator = check_network(component, build, apply)
    with promise(component, "it makes an image at each of its resolutions, and the last is that of the data"):
        found = generator.resolutions
        require(found[-1] == known.image, f"they are {found}, the data has {known.image}.")
        require(sorted(found) == list(found), "they are not in order, lowest first.")
        for rows in (1, 3):
            images = generator(normal(rows, generator.noise_width), captions(known, LENGTHS[:rows]))
            announced, shapes = [(rows, 3, size, size) for size in found], [tuple(image.shape) for image in images]
            require(shapes == announced, f"it announces {announced} and returns {shapes}.")
            require(all(bool((image.abs() <= 1).all()) for image in images), "there are pixels outside [-1, 1].")
    generator.eval()
    images = apply(generator, CPU)
    noise = normal(3, generator.noise_width, seed=4)
    with promise(component, "noise and text both decide the image"), torch.no_grad():
        other = generator(normal(3, generator.noise_width, seed=9), captions(known))[-1]
        require(bool((images[-1] - other).abs().amax((1, 2, 3)).min() > 1e-4), "other noise gives the same image.")
        other = generator(noise, captions(known, seed=50))[-1]
        require(bool((images[-1] - other).abs().amax((1, 2, 3)).min() > 1e-4), "another text gives the same image.")
    with promise(component, "padding and the other captions of the batch have no influence"), torch.no_grad():
        padded = tuple(generator(noise, captions(known, width=12)))
        require_same(padded, images, "with more padding the images differ", tolerance=1e-4)
        alone = tuple(image[0] for image in generator(noise[:1], captions(known, LENGTHS[:1])))
        require_same(alone, tuple(image[0] for image in images), "beside others the image differs", tolerance=1e-4)
    check_gradients(component, generator, apply)


# --- discriminators ----------------------------------------------------------------------------------------------


def check_discriminator(component: type[Discriminator], *, sizes: Sizes | None = None, **options: Any) -> None:
    """Check that a discriminator keeps the promises of its interface; `sizes` and `options` are for its constructor.

    Raises:
        BrokenPromise: for the first promise that it breaks.
    """
    known = sizes or tiny_sizes()
    check_description(component, ["look", "judge"], options)

    def build() -> Discriminator:
        return component(known, **options)

    def apply(discriminator: Discriminator, device: torch.device) -> Values:
        judged = discriminator([image.to(device) for image in _images(known)], moved(captions(known), device))
        return (judged.match, judged.features, *([] if judged.realism is None else [judged.realism]))

    discriminator = check_network(component, build, apply)
    with promise(component, "the feature map has the sizes that it announces, and scores are [B, S]"):
        for rows in (1, 3):
            features = discriminator.look(_images(known, rows))
            announced = (rows, discriminator.feature_channels, *[discriminator.feature_size] * 2)
            require(tuple(features.shape) == announced, f"it announces {announced}, not {tuple(features.shape)}.")
            judged = discriminator.judge(features, captions(known, LENGTHS[:rows]))
            require(judged.match.ndim == 2 and len(judged.match) == rows, f"match is {tuple(judged.match.shape)}.")
            require(torch.equal(judged.features, features), "the judgement has other features than `look` returned.")
    discriminator.eval()
    _check_discriminator_influences(component, discriminator, known)
    with promise(component, "the largest image has a gradient, from which the generator learns"):
        images = [image.requires_grad_() for image in _images(known)]
        match = discriminator(images, captions(known)).match
        gradients = torch.autograd.grad(match.sum(), images, allow_unused=True)
        require(gradients[-1] is not None and bool((gradients[-1] != 0).any()), "nothing depends on it.")
    check_gradients(component, discriminator, apply)


def _check_discriminator_influences(component: type, discriminator: Discriminator, sizes: Sizes) -> None:
    features = discriminator.look(_images(sizes)).detach()
    judged = discriminator.judge(features, captions(sizes))
    with promise(component, "the text decides the match, and not the realism"), torch.no_grad():
        other = discriminator.judge(features, captions(sizes, seed=50))
        require(bool((judged.match - other.match).abs().max() > 0), "another text matches as well.")
        if judged.realism is not None and other.realism is not None:
            require_same((judged.realism,), (other.realism,), "with another text the realism differs")
    with promise(component, "padding has no influence"), torch.no_grad():
        padded = discriminator.judge(features, captions(sizes, width=12))
        require_same((padded.match,), (judged.match,), "with more padding the match differs")
    with promise(component, "several captions can be judged against one look"), torch.no_grad():
        one = repeat(features[:1], "1 c h w -> 3 c h w")
        require(len(discriminator.judge(one, captions(sizes)).match) == 3, "there are not as many scores as pairs.")


def _images(sizes: Sizes, rows: int = 3) -> list[Tensor]:
    return [normal(rows, 3, size, size, seed=size).tanh() for size in sizes.resolutions or (sizes.image,)]
