# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 2. Attention: which word belongs where
#
# **Goal.** Learn what attention computes, by hand and in code. Tell multi-head, spatial and channel attention apart. Find a
# wrong mask that causes no error message. See where a trained model attends, and what happens when some words are taken
# away. **You need** [lesson 0](00_quickstart.ipynb). **Time**: about three minutes on two CPU cores, most of it for one
# training.

# %%
import limner

limner.diagram("attention")

# %% [markdown]
# ## The idea
#
# A sentence vector says everything at once, and the same thing to every pixel. But in "a red circle above a blue square",
# *red* concerns one place and *blue* another. With **attention**, each place asks the words (Vaswani et al. 2017):
#
# $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right) V$$
#
# A position of the feature map has a *query* (a row of $Q$). A word has a *key* (what it answers to) and a *value* (what
# it says).
#
# ## By hand
#
# Take two words, four positions, and vectors of two numbers. The first number stands for "up", the second for "down".

# %%
import inspect
from dataclasses import replace
from itertools import permutations

import numpy as np
import torch
from einops import einsum, rearrange, repeat
from IPython.display import Code
from limner_attention.channel import ChannelAttention
from limner_attention.multi_head import MultiHeadAttention
from limner_attention.spatial import SpatialAttention
from limner_scenes.dataset import Scenes
from limner_scenes.judge import read, score
from limner_scenes.scenes import COLORS, PALETTE
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d

keys = torch.tensor([[4.0, 0.0], [0.0, 4.0]])  # "red" answers to "up", "blue" to "down"
values = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # what they say: a color
queries = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])  # up, up, down, and halfway between

weights = (einsum(queries, keys, "position d, word d -> position word") / 2**0.5).softmax(-1)
print(weights)
print(einsum(weights, values, "position word, word color -> position color"))

# %% [markdown]
# Each row of weights sums to one, distributed over the words. The first two positions become red, the third blue, and the
# last, which asks both words equally, purple. Check the first row: the scores are $4/\sqrt 2$ and $0$, so the weight of
# *red* is $e^{2.83} / (e^{2.83} + 1)$.

# %%
red = torch.tensor(4 / 2**0.5).exp()
assert torch.isclose(weights[0, 0], red / (red + 1))
assert torch.allclose(weights[3], torch.tensor([0.5, 0.5]))

# %% [markdown]
# ## Three kinds
#
# **Multi-head**: several such attentions in parallel, each with its own $Q$, $K$ and $V$. One head may look for colors and
# another for shapes.

# %%
Code(inspect.getsource(MultiHeadAttention), language="python")

# %% [markdown]
# **Spatial**: the other way around. Each *word* distributes its weight over the positions: where am I drawn?

# %%
Code(inspect.getsource(SpatialAttention), language="python")

# %% [markdown]
# **Channel**: not where, but *what*. The words amplify or weaken each channel of the map (one may carry edges, another a
# color), according to how well they match it.

# %%
Code(inspect.getsource(ChannelAttention), language="python")

# %% [markdown]
# ### Almost nothing, at first
#
# Each module adds something small to the map, or multiplies it by almost one. So it can be inserted into a trained
# generator without harm. It has to learn what it is good for.

# %%
torch.manual_seed(0)
sizes = limner.Sizes(image=32, vocabulary=100, length=5, text=64)
features = torch.randn(2, 64, 8, 8)
text = limner.TextFeatures(
    words=torch.randn(2, 5, sizes.text),
    sentence=torch.randn(2, sizes.text),
    mask=torch.tensor([[True, True, True, True, True], [True, True, False, False, False]]),
)
for kind in (MultiHeadAttention, SpatialAttention, ChannelAttention):
    module = kind(sizes, channels=64)
    module.keep_weights = True
    change = (module(features, text) - features).norm() / features.norm()
    assert module.weights is not None
    padding = module.weights[1, :, 2:].abs().max()
    print(
        f"{kind.__name__}: changes the map by {change:.2%}; weights {list(module.weights.shape)}, {padding:.0f} on padding"
    )
    assert change < 0.1
    assert padding == 0

# %% [markdown]
# ## A bug hunt
#
# Captions have different lengths, so batches are filled up with padding, and a *mask* marks the real words. A wrong mask
# is easy to write and hard to notice: nothing crashes, the model just learns worse. Below are the scores of a batch of two
# captions with two heads each. They are flattened to four rows, as is common in fast code, and the mask is repeated to the
# same number of rows. **Find the mistake before you read on.** The second caption has only two words.

# %%
heads = 2
scores = torch.randn(2, heads, 16, 5)  # caption, head, position, word


def buggy(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compute attention weights; something is wrong with the mask."""
    rows = rearrange(scores, "caption head position word -> (caption head) position word")
    mask = repeat(mask, "caption word -> (head caption) word", head=heads)
    weights = rows.masked_fill(~mask[:, None], -torch.inf).softmax(-1)
    return rearrange(weights, "(caption head) position word -> caption head position word", head=heads)


for head in range(heads):
    print(
        f"caption 2, head {head + 1}: weight on padding {buggy(scores, text.mask)[1, head, :, 2:].sum(-1).mean():.2f}"
    )

# %% [markdown]
# **Fix it**: compute the weights from `scores` and `text.mask`, in one line.

# %% tags=["exercise"]
fixed = ...  # attention weights, none of them on padding: [2, 2, 16, 5]

limner.exercises.check(
    fixed,
    lambda weights: weights[1, :, :, 2:].sum() == 0 and torch.allclose(weights[0], scores[0].softmax(-1)),
    hint="In which order are the rows of the scores, and in which order are those of the mask?",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# The rows of the scores go caption by caption (1 1 2 2), those of the mask head by head (1 2 1 2). So one head of the
# second caption reads padding, and one head of the first caption cannot see three of its words. Named axes make the
# mistake visible: `(caption head)` here, `(head caption)` there.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
fixed = scores.masked_fill(~text.mask[:, None, None], -torch.inf).softmax(-1)
assert buggy(scores, text.mask)[1, :, :, 2:].sum() > 1
assert fixed[1, :, :, 2:].sum() == 0

# %% [markdown]
# ## Where a model attends
#
# The quickstart model, which comes along, has spatial attention at 4 x 4 and at 8 x 8. `explain` paints a prompt and shows
# for each word where its weight is.

# %%
quickstart = limner.load("quickstart")
quickstart.explain("a green heart to the left of a pink circle")

# %% [markdown]
# Look at 8 x 8. *Green* has its weight on the heart and *pink* on the circle: this is what tells the generator which color
# belongs where. The other words, *heart* and *circle* too, have nearly all of their weight beside the objects, most of them
# in a corner. One picture may be chance, so we measure twenty prompts: how much of a word's weight lies on which object?

# %%
palette = torch.tensor(PALETTE[: len(COLORS)], dtype=torch.float)


def covered_by(color: str, image: Image.Image, size: int) -> torch.Tensor:
    """The share of each cell of a map that pixels close to this color cover: [size, size]."""
    pixels = torch.from_numpy(np.array(image)).float()
    close = (pixels - palette[COLORS.index(color)]).norm(dim=-1) < 90
    return adaptive_avg_pool2d(close.float()[None], size)[0]


found = {"a color, on its own object": [], "a color, on the other object": [], "another word, on both objects": []}
area, most = [], []
for seed, (upper, lower) in enumerate(permutations(("red", "yellow", "green", "blue", "pink"), 2)):
    explained = quickstart.explain(f"a {upper} circle above a {lower} square", seed=seed)
    maps = explained.attention_maps[-1].weights[0]  # [T, 8, 8]: the map of each word sums to 1
    objects = {color: covered_by(color, explained.image, 8) for color in (upper, lower)}
    area.append(objects[upper].mean())
    for (word, _), weights in zip(explained.pieces, maps):
        if word in objects:
            other = lower if word == upper else upper
            found["a color, on its own object"].append((weights * objects[word]).sum())
            found["a color, on the other object"].append((weights * objects[other]).sum())
        else:
            found["another word, on both objects"].append((weights * (objects[upper] + objects[lower])).sum())
            most.append(weights.flatten().argmax())
share = {name: float(torch.stack(values).mean()) for name, values in found.items()}
print({name: round(value, 2) for name, value in share.items()})
places = torch.stack(most).bincount(minlength=64)
print(f"An object covers {torch.stack(area).mean():.2f} of the image.")
print(f"The largest weight of {len(most)} other words is at {int((places > 0).sum())} of 64 places.")
assert share["a color, on its own object"] > 0.6
assert share["a color, on the other object"] < 0.05
assert share["another word, on both objects"] < 0.05

# %% [markdown]
# ### Words that have nothing to say
#
# Why do the other words meet in a corner? The softmax leaves them no choice: in spatial attention, the weights of every
# word sum to 1, so a word cannot be drawn *nowhere*. If it has nothing to say at this resolution, it needs a place where
# it does no harm. Such a place is called an **attention sink**. Language models put much of their attention on the first
# token of a text, whatever it is (Xiao et al. 2024). Vision transformers do something similar with patches of empty
# background, until they are given extra tokens for it, called registers (Darcet et al. 2024).
#
# So a map does not prove that a word matters there. To find out, take words away. The next cell paints the same prompts
# with the same noise three times: with all words, without the weights of the color words at 8 x 8, and without those of all
# other words at 8 x 8.

# %%
asked = Scenes(32, wordings=8).prompts(64, seed=5)
tokens = quickstart.tokenizer(asked.texts)
is_color = torch.isin(tokens.ids, quickstart.tokenizer(list(COLORS)).ids[:, 1])  # the token after [CLS]
attention = [m for m in quickstart.conditional_generator.generator.modules() if isinstance(m, SpatialAttention)][-1]


def painted_with(words: torch.Tensor) -> torch.Tensor:
    """The prompts, painted while only these words have weights in the attention at 8 x 8."""

    def keep(module: torch.nn.Module, inputs: tuple[torch.Tensor, limner.TextFeatures]):
        features, text = inputs
        return features, replace(text, mask=text.mask & words)

    handle = attention.register_forward_pre_hook(keep)
    images = quickstart.sample(asked.texts, seed=0)
    handle.remove()
    return images


painted = {
    "all words": painted_with(torch.ones_like(is_color)),
    "without the color words": painted_with(~is_color),
    "only the color words": painted_with(is_color),
}
judged = {name: score(read(images), asked.asked) for name, images in painted.items()}
right = {f"{name}/{row}": float(judged[name][row].float().mean()) for name in judged for row in ("color", "exact")}
assert right["all words/color"] > 0.95
assert right["without the color words/color"] < 0.9
assert right["without the color words/exact"] < 0.5
assert right["only the color words/color"] > 0.9
assert 0.75 < right["only the color words/exact"] < right["all words/exact"]
limner.Report(right)

# %%
labels = [*asked.texts[:8], *(name for name in painted if name != "all words" for _ in range(8))]
limner.Pictures.of(torch.cat([images[:8] for images in painted.values()]), labels, columns=8)

# %% [markdown]
# Without the color words, colors run into each other, and fewer than half of the images are exactly right, although the
# sentence vector still names every color: the map told the truth about the colors. With only the color words, most images
# stay right, but not all of those that were. The generator has learned with the other words at their sink, and misses a
# little of what they add there.
#
# ## Train one yourself
#
# One line of a recipe says which attention the generator uses: `generator.attention = "multi-head"`, at 4 x 4, 8 x 8 and
# 16 x 16 unless you say otherwise. We train one object for 1,200 steps. This takes about three minutes on two CPU cores with
# AVX-512, and seven with AVX2 alone. Each row shows one prompt in the course of training:

# %%
model = limner.train("scenes-one", overrides=["generator.attention=multi-head"], quiet=True)
model.film_strip()

# %%
report = model.evaluate()
assert report["trained/exact"] > 0.8  # everything that most prompts ask for, shapes included
report

# %%
explained = model.explain("a large red circle on a white background")
explained

# %% [markdown]
# In multi-head attention, the weights of each *position* sum to 1, so a map shows which positions read a word. Look at
# 16 x 16: the maps follow the outline of the circle, because positions in the circle read other words than those around it.
# Which words these are differs from head to head, and from seed to seed. Find a head in which the circle reads words about
# the circle, if there is one. Often, a position reads a word that says nothing about it, such as *on*, or the special token
# [CLS]: it cannot read *nothing*, so here words are the sinks. And some heads read *white* in the circle: a map shows who reads
# a word, not what the values $V$ make of it.

# %%
words = [word for word, _ in explained.pieces]
inside = covered_by("red", explained.image, 16) > 0.5
maps = explained.attention_maps[-1].weights  # [heads, T, 16, 16]
circle, background = maps[:, :, inside].mean(2), maps[:, :, ~inside].mean(2)  # [heads, T]
shared = torch.minimum(circle, background).sum(1)
for head in range(len(maps)):
    most = [words[row[head].argmax()] for row in (circle, background)]
    print(f"head {head + 1}: the circle reads {most[0]} most, the background {most[1]}; they share {shared[head]:.2f}")
assert shared.max() < 0.5  # mostly other words, in every head

# %% [markdown]
# ## Four kinds on an equal budget
#
# Which kind is best? One training of each would not tell, because seeds differ. For this comparison, we trained each kind
# with three seeds and the same budget, on scenes with two objects. This is the command:

# %%
kept = limner.load_comparison("../comparisons/attention")
print(kept.results.command)
kept.plot(["trained/exact", "trained/shape", "trained/color", "trained/relation", "held out/exact", "diversity"])

# %% [markdown]
# And this is what the models of the first seed paint, with the same prompts and the same noise. After half of the recipe's
# steps, outlines are still rough, so a difference between the kinds can show.

# %%
kept.pictures()

# %% [markdown]
# The bars suggest an order. Is it more than luck? Runs of the same seed see the same data, so we compare them in pairs. The
# table has the mean difference to the generator without attention, and its 95 % confidence interval:

# %%
asked_for = ["trained/exact", "held out/exact", "diversity"]
kept.differences(asked_for, to="none")

# %% [markdown]
# And is one kind better than another? The same for the differences to spatial attention:

# %%
kept.differences(asked_for, to="spatial")

# %% [markdown]
# *May be chance* does not mean that there is no difference: with three seeds, only large ones are clear. And each table has
# nine intervals. Of twenty such intervals, one misses the true difference by chance alone. So read them together: do they
# agree? A result also holds only for this size, these drawings, and this budget. Photographs may need another kind.
#
# ## Exercises
#
# Fill in the `...` in a cell and run it: the cell tells you whether you are right.
#
# **1.** What do the weights become when all keys are equal? Why is that a sensible start for a model that has not learned
# anything yet?

# %% tags=["exercise"]
weight = ...  # of each word, for five words with equal keys

limner.exercises.check(
    weight, (queries @ torch.ones(2, 5)).softmax(-1)[0, 0], hint="All scores of a position are equal then."
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# All scores of a position are equal, so each of $T$ words gets $1/T$. Every position reads the mean of the words, as if it
# had a sentence vector.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
same = torch.ones(2, 2)
even = (einsum(queries, same, "position d, word d -> position word") / 2**0.5).softmax(-1)
assert torch.allclose(even, torch.full((4, 2), 0.5))

# %% [markdown]
# **2.** In which of the three kinds does every *word* get the same total weight, whatever the image? Check it on the
# weights.

# %% tags=["exercise"]
kind = ...  # MultiHeadAttention, SpatialAttention or ChannelAttention


def totals(kind: type[limner.Attention]) -> torch.Tensor:
    """Total weight that each word gets in the first head, over all positions or channels: [B, T]."""
    module = kind(sizes, channels=64)
    module.keep_weights = True
    module(features, text)
    assert module.weights is not None
    return module.weights.flatten(3).sum(3)[:, 0]


limner.exercises.check(
    kind,
    lambda kind: torch.allclose(totals(kind)[text.mask], torch.ones(1), atol=1e-4),
    hint="Along which axis does each kind take its softmax?",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# In spatial attention: the map of each word sums to 1. In multi-head attention every position may ignore a word.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
module = SpatialAttention(sizes, channels=64)
module.keep_weights = True
module(features, text)
assert module.weights is not None
print(module.weights.sum((-2, -1))[:, 0])
assert torch.allclose(module.weights.sum((-2, -1))[text.mask[:, None]], torch.ones(1), atol=1e-4)

# %% [markdown]
# **3.** Add attention at 16 x 16, or use two kinds one after the other, and compare again with three seeds. How much more
# does it cost?

# %% tags=["exercise"]
factor = ...  # positions that ask the words with at = [4, 8, 16], divided by those with at = [4, 8]

limner.exercises.check(
    factor,
    sum(size**2 for size in (4, 8, 16)) / sum(size**2 for size in (4, 8)),
    hint="A map of 4 x 4 has 16 positions.",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# $(16 + 64 + 256) / (16 + 64) = 4.2$ times as many positions. To see the benefit:
#
# ```
# limner compare scenes-one --vary 'generator.attention.at=[8],[4, 8],[4, 8, 16]' --seeds 3 --seconds 60 --out comparisons/where
# ```
#
# </details>
