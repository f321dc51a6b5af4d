# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 2. Attention: which word belongs where
#
# **Goal.** Know what attention computes, by hand and in code; tell the multi-head, the spatial and the channel kind apart; see how a wrong mask
# spoils it without any error; see where a trained model looks. **You need** [lesson 0](00_quickstart.ipynb). **Time**: about three minutes on two CPU cores.
#
# ## The idea
#
# A sentence vector says everything at once, and the same thing to every pixel. But *red* concerns one place of "a red circle above a blue square", and
# *blue* another. With **attention** each place asks the words (Vaswani et al. 2017):
#
# $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right) V$$
#
# A position of the feature map has a *query* (a row of $Q$), a word has a *key* (what it answers to) and a *value* (what it says).
#
# ## By hand
#
# Two words, four positions, and vectors of two numbers. The first number stands for "up", the second for "down".

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
queries = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])  # up, up, down, and one between the two

weights = (einsum(queries, keys, "position d, word d -> position word") / 2**0.5).softmax(-1)
print(weights)
print(einsum(weights, values, "position word, word color -> position color"))

# %% [markdown]
# Each row of weights is one whole, shared out between the words. The first two positions turn out red, the third blue, and the last, which asks
# both alike, purple. Check the first row: the scores are $4/\sqrt 2$ and $0$, so the weight of *red* is $e^{2.83} / (e^{2.83} + 1)$.

# %%
red = torch.tensor(4 / 2**0.5).exp()
assert torch.isclose(weights[0, 0], red / (red + 1))
assert torch.allclose(weights[3], torch.tensor([0.5, 0.5]))

# %% [markdown]
# ## Three kinds
#
# **Multi-head**: several such attentions at once, each with its own $Q$, $K$ and $V$, so that one head may look for colors and another for shapes.

# %%
Code(inspect.getsource(MultiHeadAttention), language="python")

# %% [markdown]
# **Spatial**: turned about. Each *word* shares itself out between the positions: where am I drawn?

# %%
Code(inspect.getsource(SpatialAttention), language="python")

# %% [markdown]
# **Channel**: not where, but *what*. Each channel of the map (one may carry edges, another a color) is made stronger or weaker by the words it goes with.

# %%
Code(inspect.getsource(ChannelAttention), language="python")

# %% [markdown]
# ### Almost nothing, at first
#
# Each adds something small to the map, or multiplies it by almost one. So it can be put into a generator that already paints and does no harm; what
# it is good for, it has to learn.

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
# Captions have different lengths, so batches are filled up with padding, and a *mask* says which words are real. Four well-known repositories
# get this line wrong, and nothing crashes: the model only learns worse. Here are the scores of a batch of two captions with two heads each, flattened to
# four rows as fast code likes it, and a mask that is made as many rows long. **Find the mistake before you read on.** The second caption has only two words.

# %%
heads = 2
scores = torch.randn(2, heads, 16, 5)  # caption, head, position, word


def hunted(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Attention weights; something is wrong with the mask."""
    rows = rearrange(scores, "caption head position word -> (caption head) position word")
    mask = repeat(mask, "caption word -> (head caption) word", head=heads)
    weights = rows.masked_fill(~mask[:, None], -torch.inf).softmax(-1)
    return rearrange(weights, "(caption head) position word -> caption head position word", head=heads)


for head in range(heads):
    print(
        f"caption 2, head {head + 1}: weight on padding {hunted(scores, text.mask)[1, head, :, 2:].sum(-1).mean():.2f}"
    )

# %% [markdown]
# **Mend it**: compute the weights from `scores` and `text.mask`, in a line.

# %% tags=["exercise"]
mended = ...  # attention weights, none of them on padding: [2, 2, 16, 5]

limner.exercises.check(
    mended,
    lambda weights: weights[1, :, :, 2:].sum() == 0 and torch.allclose(weights[0], scores[0].softmax(-1)),
    hint="In which order do the rows of the scores go, and in which those of the mask?",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# The rows of the scores go caption by caption (1 1 2 2), those of the mask head by head (1 2 1 2). So one head of the second caption reads
# padding, and one head of the first caption is denied three of its words. With names for the axes the mistake can be seen: `(caption head)` here, `(head caption)` there.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
mended = scores.masked_fill(~text.mask[:, None, None], -torch.inf).softmax(-1)
assert hunted(scores, text.mask)[1, :, :, 2:].sum() > 1
assert mended[1, :, :, 2:].sum() == 0

# %% [markdown]
# ## Four models on an equal budget
#
# One line of the recipe says which attention stands in the generator, and at which resolutions: `generator.attention = {name = "spatial", at = [4, 8]}`.
# `limner.compare` trains a model with each, for the same time and from the same seed.

# %%
comparison = limner.compare(
    "scenes-one",
    vary={"generator.attention.name": ["none", "spatial", "channel", "multi-head"]},
    seeds=1,
    seconds=28,
    quiet=True,
)
comparison.plot(["trained/background", "trained/color", "trained/size", "trained/shape", "diversity"])

# %% [markdown]
# Do not crown a winner: this is **one** seed and half a minute. A model with attention also makes fewer steps in that time, as each costs more:

# %%
comparison[["variant", "steps", "images/s"]]

# %% [markdown]
# The comparison to believe had three seeds and three minutes each, on scenes of two objects; it is kept in the project, and took 38 minutes (with
# `width = 128` for the multi-head kind; its default is 32):
#
# ```
# limner compare scenes-32 --vary generator.attention.name=none,spatial,channel,multi-head \
#     --seeds 3 --seconds 180 --out comparisons/attention
# ```

# %%
kept = limner.load_comparison("../comparisons/attention")
kept.plot(["trained/exact", "trained/shape", "trained/color", "trained/relation", "held out/exact", "diversity"])

# %% [markdown]
# What each helped with, as the judge sees it:
#
# - **Shape** is where attention pays: .65 of the scenes have both outlines right without it, .85 with spatial attention (channel .75, multi-head .76).
#   *Exactly* what the prompt says is on .63, .83, .74 and .74 of the pictures. Seeds differ by about .1, so spatial against none is a real difference;
#   channel against multi-head is not.
# - **Pairs never trained** gain most: .41 exact without attention, .71 with the spatial kind. Words that act one by one compose better than a
#   sentence vector, which has met only whole sentences.
# - **Color, relation and background did not profit**: they were right on .98 and more without any. The sentence vector is enough for them here.
# - **Diversity did not profit** either: its means differ by less than its seeds do.
#
# That the simplest of the three wins at this size, on these drawings and in three minutes, does not say that it does on photographs.
#
# ## Where a model looks
#
# `model.explain` paints a prompt and shows, word by word, where each word is drawn. The model has spatial attention and has had forty seconds, so look
# for a tendency, not for clean outlines: does *circle* weigh most where the circle is?

# %%
model = limner.train("scenes-one", overrides=["training.seconds=40"], quiet=True)
model.explain("a large red circle on a white background")

# %% [markdown]
# ## Exercises
#
# Fill in the `...` of a cell and run it: it says whether you have it.
#
# **1.** What do the weights become when all keys are equal? Why is that a sensible start for a model that has learned nothing yet?

# %% tags=["exercise"]
weight = ...  # of each word, where there are five words with equal keys

limner.exercises.check(
    weight, (queries @ torch.ones(2, 5)).softmax(-1)[0, 0], hint="The scores of a position are equal then."
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# All scores of a position are equal, so each of $T$ words gets $1/T$: every position reads the mean of the words, as if there was a sentence vector.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
same = torch.ones(2, 2)
even = (einsum(queries, same, "position d, word d -> position word") / 2**0.5).softmax(-1)
assert torch.allclose(even, torch.full((4, 2), 0.5))

# %% [markdown]
# **2.** In which of the three kinds does every *word* get the same total weight, whatever the picture? Check it on the weights.

# %% tags=["exercise"]
kind = ...  # MultiHeadAttention, SpatialAttention or ChannelAttention


def totals(kind: type[limner.Attention]) -> torch.Tensor:
    """The weight that each word of the first head gets from all positions, or channels, together: [B, T]."""
    module = kind(sizes, channels=64)
    module.keep_weights = True
    module(features, text)
    assert module.weights is not None
    return module.weights.flatten(3).sum(3)[:, 0]


limner.exercises.check(
    kind,
    lambda kind: torch.allclose(totals(kind)[text.mask], torch.ones(1), atol=1e-4),
    hint="Along which axis does each of them take its softmax?",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# In spatial attention: a word's map sums to 1. In the multi-head kind a word can be ignored by every position.
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
# **3.** Put attention at 16 x 16 as well, or two kinds one after the other, and compare again with three seeds. What will it cost?

# %% tags=["exercise"]
factor = ...  # how many times as many positions ask the words with at = [4, 8, 16] as with at = [4, 8]

limner.exercises.check(
    factor,
    sum(size**2 for size in (4, 8, 16)) / sum(size**2 for size in (4, 8)),
    hint="A map of 4 x 4 has 16 positions.",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# $(16 + 64 + 256) / (16 + 64) = 4.2$. What it buys:
#
# ```
# limner compare scenes-one --vary 'generator.attention.at=[8],[4, 8],[4, 8, 16]' --seeds 3 --seconds 60 --out comparisons/where
# ```
#
# </details>
