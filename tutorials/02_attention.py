# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 2. Attention: which word belongs where
#
# **Goal.** Learn what attention computes, by hand and in code. Tell multi-head, spatial and channel attention apart. See
# how a wrong mask hurts a model without any error message, and where a trained model looks. **You need**
# [lesson 0](00_quickstart.ipynb). **Time**: about three minutes on two CPU cores.
#
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

import limner
import torch
from einops import einsum, rearrange, repeat
from IPython.display import Code
from limner_attention.channel import ChannelAttention
from limner_attention.multi_head import MultiHeadAttention
from limner_attention.spatial import SpatialAttention

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
# Captions have different lengths, so batches are filled up with padding, and a *mask* marks the real words. Four
# well-known repositories get this line wrong, and nothing crashes: the model just learns worse. Below are the scores of a
# batch of two captions with two heads each. They are flattened to four rows, as is common in fast code, and the mask is
# repeated to the same number of rows. **Find the mistake before you read on.** The second caption has only two words.

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
# ## Four models on an equal budget
#
# One line of the recipe says which attention the generator uses, and at which resolutions:
# `generator.attention = {name = "spatial", at = [4, 8]}`. `limner.compare` trains one model with each kind, for the same
# number of steps and from the same seed.

# %%
comparison = limner.compare(
    "scenes-one",
    vary={"generator.attention.name": ["none", "spatial", "channel", "multi-head"]},
    seeds=1,
    steps=300,
    quiet=True,
)
comparison.plot(["trained/background", "trained/color", "trained/size", "trained/shape", "diversity"])

# %% [markdown]
# Do not pick a winner yet: this is **one** seed and 300 steps. A step of a model with attention also costs more time:

# %%
comparison[["variant", "steps", "seconds", "images/s"]]

# %% [markdown]
# For a comparison you can trust, we trained three seeds for three minutes each, on scenes with two objects. It is part of
# the project and took 38 minutes. (The recipe then used Adam, with which everything takes longer, and `width = 128` for
# multi-head attention; the default is 32.)
#
# ```
# limner compare scenes-32 --vary generator.attention.name=none,spatial,channel,multi-head \
#     --seeds 3 --seconds 180 --out comparisons/attention
# ```

# %%
kept = limner.load_comparison("../comparisons/attention")
kept.plot(["trained/exact", "trained/shape", "trained/color", "trained/relation", "held out/exact", "diversity"])

# %% [markdown]
# What each kind helped with, according to the judge:
#
# - **Shape** is where attention pays off. Without it, .65 of the scenes have both outlines right; with spatial attention,
#   .85 (channel .75, multi-head .76). *Everything* in the prompt is right in .63, .83, .74 and .74 of the images. Seeds
#   differ by about .1. So spatial attention versus none is a real difference; channel versus multi-head is not.
# - **Pairs never trained** gain most: .41 exact without attention, .71 with spatial attention. Words that act one by one
#   compose better than a sentence vector, which has only met whole sentences.
# - **Color, relation and background did not gain**: they were right in .98 of the images or more without attention. The
#   sentence vector is enough for them here.
# - **Diversity did not gain** either: the means differ by less than the seeds do.
#
# The simplest of the three wins at this size, on these drawings and in three minutes. That does not mean it wins on
# photographs.
#
# ## Where a model looks
#
# `model.explain` paints a prompt and shows, word by word, where each word is drawn. The model has spatial attention and
# only 800 steps of training, so look for a tendency, not for clean outlines: does *circle* have its largest weight
# where the circle is?

# %%
model = limner.train("scenes-one", overrides=["training.steps=800"], quiet=True)
model.explain("a large red circle on a white background")

# %% [markdown]
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
