"""The contracts of the networks: text encoders, attention, stages, generators and discriminators."""

from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor

from limner.interfaces import Attention, Discriminator, Generator, Stage, TextEncoder
from limner.testing.checks import (
    LENGTHS,
    Missed,
    Values,
    captions,
    check_gradients,
    check_network,
    check_words,
    mixed,
    moved,
    need,
    need_same,
    normal,
    promise,
    seeded,
    tokens,
)
from limner.testing.tiny import FirstStage, tiny_sizes
from limner.types import Canvas, Sizes, Tokens


def check_encoder(component: type[TextEncoder], *, sizes: Sizes | None = None, **options: Any) -> None:
    """Hold a text encoder to its interface.

    Args:
        component: the class.
        sizes: what it is built with; small ones by default.
        options: those to build it with.

    Raises:
        BrokenPromise: for the first promise that it does not keep.
    """
    known = sizes or tiny_sizes()
    check_words(component, ["forward"], options)

    def build() -> TextEncoder:
        return component(known, **options)

    def apply(encoder: TextEncoder, device: torch.device, read: Tokens | None = None) -> Values:
        text = encoder((read or tokens(known)).to(device))
        return text.words, text.sentence

    check_network(component, build, apply)
    encoder: TextEncoder = seeded(build)
    with promise(
        component, "words are [B, T, D], the sentence is [B, D], D is `width`, and the mask is that of the tokens"
    ):
        for lengths in ((3,), (1, 5), (known.length, 2, 6)):
            read = tokens(known, lengths)
            text = encoder(read)
            batch, longest = read.ids.shape
            need(text.words.shape == (batch, longest, encoder.width), f"words are {tuple(text.words.shape)}.")
            need(text.sentence.shape == (batch, encoder.width), f"the sentence is {tuple(text.sentence.shape)}.")
            need(torch.equal(text.mask, read.mask), "the mask is another.")
    for mode in ("training", "evaluation"):
        encoder.train(mode == "training")
        with promise(component, f"padding has no influence (in {mode})"), torch.no_grad():
            rows = {"more padding": tokens(known, width=known.length), "other ids there": tokens(known, padding=7)}
            for name, padded in rows.items():
                torch.manual_seed(3)
                plain = encoder(tokens(known))
                torch.manual_seed(3)
                text = encoder(padded)
                need_same((plain.sentence,), (text.sentence,), f"with {name} the sentence differs")
                longest = plain.words.shape[1]
                need_same((plain.words,), (text.words[:, :longest],), f"with {name} the words differ")
                need(bool((text.words[~text.mask] == 0).all()), "words at padding are not zero.")
    encoder.eval()
    with promise(component, "a caption is read by itself, whatever stands beside it"), torch.no_grad():
        alone = encoder(tokens(known, LENGTHS[:1]))
        among = encoder(tokens(known))
        need_same((alone.sentence[0],), (among.sentence[0],), "beside others its sentence differs")
    with promise(component, "other words make another sentence"), torch.no_grad():
        other = Tokens(tokens(known).ids.roll(1, 0), tokens(known).mask)
        need(not torch.allclose(encoder(other).sentence, encoder(tokens(known)).sentence), "it is the same.")
    check_gradients(component, encoder, lambda network: mixed(apply(network, torch.device("cpu"))))


def check_attention(component: type[Attention], **options: Any) -> None:
    """Hold an attention to its interface; `options`: those to build it with.

    Raises:
        BrokenPromise: for the first promise that it does not keep.
    """
    sizes, channels = tiny_sizes(), 8
    check_words(component, ["forward"], options)

    def build() -> Attention:
        return component(sizes, channels, **options)

    def apply(attention: Attention, device: torch.device) -> Values:
        return (attention(normal(3, channels, 4, 4).to(device), moved(captions(sizes), device)),)

    check_network(component, build, apply)
    attention: Attention = seeded(build)
    with promise(component, "a map of any size comes out as it went in"):
        for batch, height, width in ((1, 1, 1), (3, 4, 4), (3, 6, 10), (2, 16, 16)):
            features = normal(batch, channels, height, width)
            shape = attention(features, captions(sizes, LENGTHS[:batch])).shape
            need(shape == features.shape, f"{tuple(features.shape)} became {tuple(shape)}.")
    with promise(component, "it begins as nearly the identity"), torch.no_grad():
        features = normal(3, channels, 8, 8)
        added = (attention(features, captions(sizes)) - features).square().mean().sqrt()
        need(added < 0.3, f"it adds {added:.2f} to a map whose root mean square is 1.")
    check_gradients(component, attention, lambda network: mixed(apply(network, torch.device("cpu"))))
    with promise(component, "the words decide what is added, every one of them, and no padding"):
        text, features = captions(sizes), normal(3, channels, 4, 4).requires_grad_()
        text.words.requires_grad_()
        by_word, by_map = torch.autograd.grad(mixed((attention(features, text),)), [text.words, features])
        need(bool((by_word[text.mask] != 0).any(1).all()), "there are words that nothing depends on.")
        need(bool((by_word[~text.mask] == 0).all()), "something depends on what stands at padding.")
        need(bool((by_map != 0).any()), "nothing depends on the map.")
    with promise(component, "padding and the other captions of the batch have no influence"), torch.no_grad():
        features = normal(3, channels, 4, 4)
        plain = attention(features, captions(sizes))
        need_same((attention(features, captions(sizes, width=12)),), (plain,), "with more padding the map differs")
        alone = attention(features[:1], captions(sizes, LENGTHS[:1]))
        need_same((alone[0],), (plain[0],), "beside others the map differs")
    with promise(component, "weights are kept when asked for, [B, M, T, ...], with 0 at padding"), torch.no_grad():
        need(attention.weights is None, "they were kept without being asked for.")
        attention.keep_weights = True
        again = attention(normal(3, channels, 4, 4), captions(sizes))
        need_same((again,), (plain,), "keeping them changes the map", tolerance=1e-4)
        weights = attention.weights
        if weights is None:
            raise Missed("none were kept; hand them to `self.keep(weights)`.")
        need(weights.ndim >= 3 and weights.shape[0] == 3, f"they are {tuple(weights.shape)}.")
        need(weights.shape[2] in (1, max(LENGTHS)), f"they are {tuple(weights.shape)}: T is {max(LENGTHS)}.")
        if weights.shape[2] > 1:
            at_padding = rearrange(weights, "b m t ... -> b t m ...")[~captions(sizes).mask]
            need(bool((at_padding == 0).all()), "padding has some.")


def check_stage(component: type[Stage], *, first: bool = False, **options: Any) -> None:
    """Hold a stage to its interface.

    Args:
        component: the class.
        first: whether it stands first, and so begins from noise and text; otherwise it follows a stage whose hidden map
            and image are 4 x 4.
        options: those to build it with.

    Raises:
        BrokenPromise: for the first promise that it does not keep.
    """
    sizes = tiny_sizes()
    check_words(component, ["forward"], options)
    before = None if first else FirstStage(sizes, None)

    def build() -> Stage:
        return component(sizes, before, **options)

    def begin(rows: int) -> Canvas | None:
        if before is None:
            return None
        return Canvas(normal(rows, before.channels, 4, 4), normal(rows, 3, 4, 4, seed=1).tanh())

    def apply(stage: Stage, device: torch.device) -> Values:
        canvas = begin(3)
        if canvas is not None:
            canvas = Canvas(canvas.hidden.to(device), canvas.image.to(device))
        made = stage(canvas, normal(3, sizes.noise, seed=4).to(device), moved(captions(sizes), device))
        return made.hidden, made.image

    check_network(component, build, apply)
    stage: Stage = seeded(build)
    with promise(component, "the canvas that it hands on has the sizes that it announces"):
        for rows in (1, 3):
            made = stage(begin(rows), normal(rows, sizes.noise), captions(sizes, LENGTHS[:rows]))
            announced = (rows, stage.channels, stage.map_size, stage.map_size), (rows, 3, stage.size, stage.size)
            seen = tuple(made.hidden.shape), tuple(made.image.shape)
            need(seen == announced, f"it announces {announced} and hands on {seen}.")
            need(bool((made.image.abs() <= 1).all()), "there are pixels outside [-1, 1].")
    if before is not None:
        with promise(component, "its image is larger than the one before"):
            need(stage.size > before.size, f"{before.size} pixels became {stage.size}.")
    with promise(component, "padding has no influence"), torch.no_grad():
        made = stage(begin(3), normal(3, sizes.noise, seed=4), captions(sizes, width=12))
        need_same((made.hidden, made.image), apply(stage, torch.device("cpu")), "with more padding the canvas differs")
    check_gradients(component, stage, lambda network: mixed(apply(network, torch.device("cpu"))))


def check_generator(component: type[Generator], *, sizes: Sizes | None = None, **options: Any) -> None:
    """Hold a generator to its interface; `sizes` and `options` are what it is built with.

    Raises:
        BrokenPromise: for the first promise that it does not keep.
    """
    known = sizes or tiny_sizes()
    check_words(component, ["forward"], options)

    def build() -> Generator:
        return component(known, **options)

    def apply(generator: Generator, device: torch.device) -> Values:
        noise = normal(3, generator.noise_width, seed=4).to(device)
        return tuple(generator(noise, moved(captions(known), device)))

    check_network(component, build, apply)
    generator: Generator = seeded(build)
    with promise(component, "it paints one image at each of its resolutions, and the last is that of the data"):
        need(generator.resolutions[-1] == known.image, f"they are {generator.resolutions}, the data has {known.image}.")
        need(sorted(generator.resolutions) == list(generator.resolutions), "they are not in order, lowest first.")
        for rows in (1, 3):
            images = generator(normal(rows, generator.noise_width), captions(known, LENGTHS[:rows]))
            announced = [(rows, 3, size, size) for size in generator.resolutions]
            seen = [tuple(image.shape) for image in images]
            need(seen == announced, f"it announces {announced} and paints {seen}.")
            need(all(bool((image.abs() <= 1).all()) for image in images), "there are pixels outside [-1, 1].")
    generator.eval()
    with promise(component, "noise and text both decide what is painted"), torch.no_grad():
        images = apply(generator, torch.device("cpu"))
        otherwise = generator(normal(3, generator.noise_width, seed=9), captions(known))[-1]
        need(bool((images[-1] - otherwise).abs().amax((1, 2, 3)).min() > 1e-4), "other noise paints the same.")
        otherwise = generator(normal(3, generator.noise_width, seed=4), captions(known, seed=50))[-1]
        need(bool((images[-1] - otherwise).abs().amax((1, 2, 3)).min() > 1e-4), "other text paints the same.")
    with promise(component, "padding and the other captions of the batch have no influence"), torch.no_grad():
        padded = generator(normal(3, generator.noise_width, seed=4), captions(known, width=12))
        need_same(tuple(padded), images, "with more padding the images differ", tolerance=1e-4)
        alone = generator(normal(3, generator.noise_width, seed=4)[:1], captions(known, LENGTHS[:1]))
        need_same(
            tuple(image[0] for image in alone), tuple(image[0] for image in images), "beside others it differs", 1e-4
        )
    check_gradients(component, generator, lambda network: mixed(apply(network, torch.device("cpu"))))


def check_discriminator(component: type[Discriminator], *, sizes: Sizes | None = None, **options: Any) -> None:
    """Hold a discriminator to its interface; `sizes` and `options` are what it is built with.

    Raises:
        BrokenPromise: for the first promise that it does not keep.
    """
    known = sizes or tiny_sizes()
    check_words(component, ["look", "judge"], options)

    def build() -> Discriminator:
        return component(known, **options)

    def images(rows: int = 3) -> list[Tensor]:
        return [normal(rows, 3, size, size, seed=size).tanh() for size in known.resolutions or (known.image,)]

    def apply(judge: Discriminator, device: torch.device) -> Values:
        said = judge([image.to(device) for image in images()], moved(captions(known), device))
        return (said.match, said.features) if said.realism is None else (said.match, said.features, said.realism)

    check_network(component, build, apply)
    judge: Discriminator = seeded(build)
    with promise(component, "the feature map has the sizes that it announces, and each image has the same scores"):
        for rows in (1, 3):
            seen = judge.look(images(rows))
            announced = (rows, judge.feature_channels, judge.feature_size, judge.feature_size)
            need(tuple(seen.shape) == announced, f"it announces {announced} and sees {tuple(seen.shape)}.")
            said = judge.judge(seen, captions(known, LENGTHS[:rows]))
            need(said.match.ndim == 2 and len(said.match) == rows, f"match is {tuple(said.match.shape)}, not [B, S].")
            need(torch.equal(said.features, seen), "the features that it hands on are others than those it saw.")
    judge.eval()
    with promise(component, "the text decides the match, and not the realism"), torch.no_grad():
        seen = judge.look(images())
        said, otherwise = judge.judge(seen, captions(known)), judge.judge(seen, captions(known, seed=50))
        need(bool((said.match - otherwise.match).abs().max() > 0), "another text matches as well.")
        if said.realism is not None and otherwise.realism is not None:
            need_same((said.realism,), (otherwise.realism,), "with another text the realism differs")
    with promise(component, "padding has no influence"), torch.no_grad():
        padded = judge.judge(seen, captions(known, width=12))
        need_same((padded.match,), (said.match,), "with more padding the match differs")
    with promise(component, "every pixel and the sentence can be differentiated, so that the generator can learn"):
        looked = [image.requires_grad_() for image in images()]
        gradients = torch.autograd.grad(judge(looked, captions(known)).match.sum(), looked, allow_unused=True)
        need(gradients[-1] is not None and bool((gradients[-1] != 0).any()), "nothing depends on the largest image.")
    check_gradients(component, judge, lambda network: mixed(apply(network, torch.device("cpu"))))
    with promise(component, "a row of captions may be judged against the same look"), torch.no_grad():
        one = repeat(seen[:1], "1 c h w -> 3 c h w")
        need(len(judge.judge(one, captions(known)).match) == 3, "there are not as many scores as pairs.")
