# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 5. Diversity and consistency: many pictures, all of them right
#
# **Goal.** Learn why a model that fits its prompts tends to paint one picture of each, and what helps: in training (noise
# reading, mode seeking, conditioning augmentation), when painting (truncation, the best of many), and with several models
# (ensembles). Measure both sides, and each method's benefits and costs. Recognize a collapse by its numbers. **You need**
# [lesson 4](04_consistency.ipynb). **Time**: about two minutes on two CPU cores. Nothing is trained here.

# %%
import limner

limner.diagram("diversity")

# %% [markdown]
# ## The dilemma
#
# Many pictures fit *a red circle above a blue square*: left or right, far apart or close, on black or on gray. A good model
# paints many different ones (**diversity**), all of them right (**consistency**). Neither is hard alone. Here are four
# painters. The first three need no training: one shows real scenes of the prompt, one has memorized *one* picture for each
# prompt, and one shows any scene at all, whatever the prompt. The fourth is the quickstart, a trained model that comes
# along.

# %%
import inspect
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch
from IPython.display import Code
from limner.layers import ConditioningAugmentation
from limner.models.sampling import most_different, truncate
from limner.recipes.schema import Sampling
from limner_diversity.distribution import Distribution
from limner_diversity.mode_seeking import ModeSeeking
from limner_diversity.noise_reading import NoiseReading
from limner_diversity.prompt_diversity import PromptDiversity, vendi_score
from limner_scenes.dataset import Scenes
from limner_scenes.judge import read, score
from limner_scenes.metrics import SceneDiversity, SceneJudge
from limner_scenes.parsing import parse
from limner_scenes.scenes import BACKGROUNDS

scenes = Scenes(32, wordings=8, count=2000)
model = limner.load("quickstart")


class OneEach:
    """Always the same picture for the same prompt."""

    def paint_images(self, prompts, seed=0):
        return limner.to_float(torch.cat([scenes.real_images(prompt, 1, seed=7) for prompt in prompts]))


class Whatever:
    """A real scene, of another prompt."""

    def paint_images(self, prompts, seed=0):
        pixels = scenes.load().pixels
        rows = torch.randint(len(pixels), (len(prompts),), generator=torch.Generator().manual_seed(seed))
        return limner.to_float(pixels[rows])


def rows_of(painters, prompt, columns=8):
    """A row of pictures of one prompt for each painter."""
    images = [painter.paint_images([prompt] * columns, seed=2) for painter in painters.values()]
    return limner.Pictures.of(torch.cat(images), [name for name in painters for _ in range(columns)], columns)


painters = {"real": limner.RealImages(scenes), "one each": OneEach(), "whatever": Whatever(), "quickstart": model}
prompt = "a red circle above a blue square"
rows_of(painters, prompt)

# %% [markdown]
# ## Measuring both
#
# Consistency is the judge's **exact match**. There are several measures of diversity:
#
# | number | question |
# |---|---|
# | `diversity` | how much do the pixels of one prompt's images vary, relative to real images? |
# | pixel, feature distance | how far apart are two images of one prompt, averaged over pairs? |
# | Vendi score (Friedman and Dieng 2023) | how many *different* images are there among 16? $\exp(-\sum_k \lambda_k \log \lambda_k)$, where $\lambda$ are the eigenvalues of their similarity matrix, divided by its size |
# | precision, recall, density, coverage | do generated images lie where real ones do, and vice versa? |
# | FID, KID | how far is the whole distribution from the real one? |
#
# The Vendi score of four images that have nothing in common is 4, and of four identical ones 1:

# %%
axes = torch.eye(4)
print(vendi_score(axes), vendi_score(axes[[0, 0, 0, 0]]), vendi_score(axes[[0, 0, 1, 1]]))
assert abs(vendi_score(axes[[0, 0, 1, 1]]) - 2) < 1e-6

# %%
metrics = [
    SceneJudge(scenes, prompts=200),
    SceneDiversity(scenes, prompts=10),
    PromptDiversity(scenes, prompts=10),
    Distribution(scenes, images=300),
]


def both_sides(painter):
    """Exact match, diversity, and the plugin's metrics."""
    found = {name: value for metric in metrics for name, value in metric.measure(painter).items()}
    wanted = ("trained/exact", "diversity", "painted/Vendi score", "precision", "recall", "coverage", "FID")
    return {name.removeprefix("trained/").removeprefix("painted/"): found[name] for name in wanted}


def side_by_side(table):
    """A report with one column per painter."""
    return limner.Report({f"{name}/{row}": value for name, found in table.items() for row, value in found.items()})


table = {name: both_sides(painter) for name, painter in painters.items()}
side_by_side(table)

# %% [markdown]
# *One each* is always right, and its diversity is 0: **exact match alone rewards it**, and so does precision.
# Recall and coverage notice. *Whatever* has the distribution of real images and more than enough diversity, but is hardly
# ever right; FID rewards it. So always look at one number of each kind. The quickstart is nearly always right, and has
# about three quarters of the diversity of real scenes.

# %%
assert table["one each"]["exact"] == 1
assert table["one each"]["diversity"] < 0.01
assert table["whatever"]["exact"] < 0.1
assert table["whatever"]["FID"] < table["one each"]["FID"]
assert table["quickstart"]["exact"] > 0.85
assert 0.65 < table["quickstart"]["diversity"] < 0.85

# %% [markdown]
# ## A collapse, found by numbers
#
# Where does the rest of the diversity go? Ask for 32 pictures of each of 16 prompts that name no background, and let
# the judge read the backgrounds. How many *different* ones are there? The exponential of the entropy of their shares says
# so: 4 if all four are equally frequent, 1 if there is only one.

# %%
open_prompts = Scenes(32, background_mentioned=0.0).prompts(16, seed=2).texts


def backgrounds(painter):
    """How many of the 32 pictures of each prompt have which background."""
    images = painter.paint_images([text for text in open_prompts for _ in range(32)], seed=0)
    return torch.stack([torch.bincount(row[row >= 0], minlength=4) for row in read(images).backgrounds.view(16, 32)])


def different(counts):
    """The effective number of backgrounds of each prompt, from 1 to 4."""
    return torch.special.entr(counts / counts.sum(1, keepdim=True)).sum(1).exp()


real, own = backgrounds(painters["real"]), backgrounds(model)
print("real scenes:", f"{different(real).mean():.1f}", "of 4; quickstart:", f"{different(own).mean():.1f}")
order = different(own).argsort()
for i in order:
    shares = ", ".join(f"{name} {count}" for name, count in zip(BACKGROUNDS, own[i].tolist()))
    print(f"{different(own)[i]:.1f}  {open_prompts[i]}: {shares}")

# %% [markdown]
# For some prompts the model has a favorite background, and there are others that it never paints. This is a **mode
# collapse**, though a partial one, and you would not find it by looking at one picture of each prompt. Here are the prompt
# with the fewest backgrounds, and the one with the most:

# %%
fewest, most = open_prompts[order[0]], open_prompts[order[-1]]
model.paint([fewest, most], n=8, seed=2)

# %%
assert different(real).min() > 3
assert different(own).min() < 2.2
assert different(own).mean() < 3.3
assert (own == 0).any()

# %% [markdown]
# ## In training: make the noise count
#
# A generator gets noise $z$ so that one prompt has many pictures, but nothing in the adversarial loss makes it *use* the
# noise. Three losses ask it to:
#
# **Noise reading** (part of the recipes you know): part of $z$ must be readable from the image.

# %%
Code(inspect.getsource(NoiseReading), language="python")

# %% [markdown]
# **Mode seeking**: two images of one prompt must differ as much as their noise vectors do.

# %%
Code(inspect.getsource(ModeSeeking), language="python")

# %% [markdown]
# **Conditioning augmentation**: not one sentence vector, but a random one near it. It is an option of the generator
# (`generator.augmentation = 32`) with its own loss (`conditioning-divergence`).

# %%
Code(inspect.getsource(ConditioningAugmentation), language="python")

# %% [markdown]
# ## Where the noise enters
#
# `generator.noise_at` is `"every level"` or `"input"`. With `"input"`, the noise takes part in the first map of 4 x 4 only, and
# every layer after it is controlled by the sentence alone. So the noise can still decide *where* something is; *what* it looks
# like is up to the sentence. (`generator.noise_scale` sets how strong the noise is, relative to the sentence.) We trained
# `scenes-one` both ways:
#
# ```
# limner compare scenes-one --vary 'generator.noise_at=every level,input' --seeds 3 --steps 1200 --out comparisons/noise-at
# ```

# %%
entrance = limner.load_comparison("../comparisons/noise-at")
entrance.plot(["trained/exact", "held out/exact", "diversity"])

# %%
entrance.pictures()

# %%
gains = entrance.differences(["trained/exact", "held out/exact", "diversity"], to="every level")
gains

# %% [markdown]
# With the noise at the first map only, the images of a prompt differ less, and the interval leaves out 0. Whether more of them
# are exact, three seeds cannot tell. So the recipes have the noise at every level.

# %%
changes = {one.metric: one for one in gains}
assert changes["diversity"].clear
assert changes["diversity"].mean < 0
assert not changes["trained/exact"].clear

# %% [markdown]
# ## When painting: how near to the mean?
#
# Noise far from its mean was rare in training, and its images are often the odd ones. **Truncation** keeps the noise
# within $\pm t$.

# %%
Code(inspect.getsource(truncate), language="python")


# %%
def sampled(**how):
    """The quickstart, sampled in this way."""
    return SimpleNamespace(paint_images=partial(model.paint_images, sampling=Sampling(**how)))


truncations = {"all noise": model} | {f"within ±{t:g}": sampled(truncation=t) for t in (1.0, 0.5, 0.01)}
rows_of(truncations, prompt)

# %% [markdown]
# Each column has the same noise in all rows. Truncation pulls the pictures toward the one in the middle: backgrounds and
# places become alike, and the dents of the odd ones disappear. Within ±.01 only one picture is left. Now the numbers:

# %%
trade = {name: both_sides(painter) for name, painter in truncations.items()}
side_by_side(trade)

# %% [markdown]
# Truncation is a trade: pictures near the mean are right more often, and differ less. Most of the gain comes with the first
# step. The last column is a **collapse on purpose**. Each of its pictures is as good as ever, they are right more often
# than with all noise, and by exact match alone it would be one of the best models. But its diversity is near 0 and its Vendi
# score near 1, so you do not even have to look. That is how to find a collapse among a hundred runs.

# %%
falling = [found["diversity"] for found in trade.values()]
assert falling == sorted(falling, reverse=True)
assert trade["within ±0.01"]["exact"] > trade["all noise"]["exact"]
assert trade["within ±0.01"]["diversity"] < 0.05
assert trade["within ±0.01"]["Vendi score"] < 1.1

# %% [markdown]
# ## The best of many
#
# The model paints 64 pictures and keeps eight: those that fit best by its own matching, those that fit best by its
# captioner, and those that differ most.

# %%
kinds = ("matching", "caption", "diversity")
best = {by: model.paint(prompt, n=8, seed=2, best_of=64, by=by) for by in kinds}
limner.Pictures([image for by in kinds for image in best[by].images], [by for by in kinds for _ in range(8)], columns=8)

# %% [markdown]
# Look closely: none of the three knows what the judge wants. Matching likes backgrounds between black, gray and brown. The
# captioner likes white ones, and does not mind those between white and gray. The most different ones have every
# background, and the odd circle with a corner is among them.
#
# How much does the best of 8 gain over many prompts? Every image is now the best of eight candidates. The harder prompts
# are those with pairs that no scene of the data has ("held out"), or in wordings that no caption has.

# %%
ways = {
    "as it comes": model,
    "best of 8 by matching": sampled(candidates=8),
    "best of 8 by caption": sampled(candidates=8, by="caption"),
}
gains = {name: metrics[0].measure(way) | metrics[1].measure(way) for name, way in ways.items()}
wanted = ("trained/exact", "held out/exact", "held-out wordings/exact", "diversity")
limner.Report(
    {f"{name}/{row.replace('/', ' ')}": found[row] for name, found in gains.items() for row in wanted},
    notes=["200 prompts each: differences below .03 are luck."],
)

# %% [markdown]
# Choosing gains hardly anything: the model has learned to please this matching and this captioner, so they do not see what
# is still wrong. With held-out pairs both seem to gain a little, but 200 prompts do not make that certain. Both choices
# cost diversity, that of matching more than that of the captioner. And both cost eight times the work.

# %%
usual = gains["as it comes"]
for way in ("best of 8 by matching", "best of 8 by caption"):
    assert abs(gains[way]["trained/exact"] - usual["trained/exact"]) < 0.03
    assert abs(gains[way]["held-out wordings/exact"] - usual["held-out wordings/exact"]) < 0.03
    assert gains[way]["held out/exact"] > usual["held out/exact"]
matching, caption = (gains[f"best of 8 by {by}"]["diversity"] for by in ("matching", "caption"))
assert matching < caption < usual["diversity"]

# %% [markdown]
# ## Several models
#
# Which favorites a model has is chance. Here are the three seeds of one recipe (the one with matching and the cycle, from
# the comparison of [lesson 4](04_consistency.ipynb)), with the same prompts and the same noise:

# %%
compared = limner.load_comparison("../comparisons/consistency")
habits = {f"seed {seed}": compared.pictures(seed, ["1, 0.25"]) for seed in range(3)}
limner.Pictures(
    [image for row in habits.values() for image in row.images],
    [name for name, row in habits.items() for _ in row.images],
    columns=8,
    headings=habits["seed 0"].headings,
)

# %% [markdown]
# Where the prompt leaves a choice, they choose differently. Let the judge read the backgrounds, and count how many of the
# pictures are exactly right:

# %%
headings = list(habits["seed 0"].headings)
pixels = np.stack([np.asarray(image) for row in habits.values() for image in row.images])
seen = read(limner.to_float(torch.from_numpy(pixels).permute(0, 3, 1, 2)))
for text, indices in zip(headings, seen.backgrounds.view(3, 8).T):
    print(f"{text}: {', '.join(BACKGROUNDS[i] if i >= 0 else 'unclear' for i in indices)}")
right = score(seen, torch.tensor([parse(text) for text in headings] * 3))["exact"]
print(f"{int(right.sum())} of {len(right)} are exactly right.")
assert right.float().mean() > 0.85
assert any(len(set(indices.tolist()) - {-1}) > 1 for indices in seen.backgrounds.view(3, 8).T)

# %% [markdown]
# Each image of an **ensemble** is painted by one of its members, drawn at random: here, each picture would come from one of
# the three rows. An ensemble paints, chooses the best of many, and is measured like a single model:
#
# ```python
# ensemble = limner.Ensemble(["runs/first", "runs/second", "runs/third"])
# ensemble.paint("a red circle above a blue square", n=8)
# ensemble.evaluate()
# ```

# %%
Code(inspect.getsource(limner.Ensemble.sample), language="python")

# %% [markdown]
# ## The frontier
#
# `limner.tradeoff` trains each variant of a recipe and plots consistency against diversity. The **frontier** joins the
# points that no other point beats on both sides. This comparison comes along: one object, with the noise at the first map,
# with and without noise reading, one candidate or the best of 8 by matching, two truncations.
#
# ```
# limner tradeoff scenes-one --set generator.noise_at=input --set 'discriminator.channels=[16,32,64,128,128]' \
#     --vary losses.noise-reading.weight=0.0,1.0 --vary sampling.candidates=1,8 --vary sampling.truncation=1.0,4.0 \
#     --seeds 3 --steps 1200 --out comparisons/tradeoff
# ```
#
# The labels are *weight of noise reading, candidates, truncation*. ±4 leaves the noise as it is.

# %%
kept = limner.load_tradeoff("../comparisons/tradeoff")
kept

# %%
kept.table()

# %% [markdown]
# How far is each from the plain one, with noise reading, one candidate and all noise? The intervals pair equal seeds.

# %%
differences = kept.comparison.differences(["trained/exact", "diversity"], to="1.0, 1, 4.0")
differences

# %% [markdown]
# - **Truncation** to ±1 is the same trade here: with noise reading, the images are a little more often exact (.02) and much
#   less diverse (.12). Both intervals leave out 0.
# - **Noise reading** is no trade: without it, the images are less often exact (by .14), and hardly differ (.03). Noise that
#   enters at the first map only is easy to ignore: without this loss, all images of a prompt are nearly the same.
# - **The best of 8 by matching** costs diversity, and whether it gains exactness cannot be told from three seeds.
#
# So the whole frontier is made of models with noise reading.

# %%
exact, diverse = ({name: point[side] for name, point in kept.points().items()} for side in (0, 1))
found = {(one.metric, one.variant): one for one in differences}
narrow, without, best_of_8 = "1.0, 1, 1.0", "0.0, 1, 4.0", "1.0, 8, 4.0"
assert found["trained/exact", narrow].clear
assert exact[narrow] > exact["1.0, 1, 4.0"]
assert found["diversity", narrow].clear
assert diverse[narrow] < diverse["1.0, 1, 4.0"]
assert found["trained/exact", without].clear
assert exact[without] < exact["1.0, 1, 4.0"]
assert found["diversity", without].clear
assert diverse[without] < 0.05 < 0.4 < diverse["1.0, 1, 4.0"]
assert found["diversity", best_of_8].clear
assert diverse[best_of_8] < diverse["1.0, 1, 4.0"]
assert not found["trained/exact", best_of_8].clear
assert all(name.startswith("1.0") for name in kept.frontier())

# %% [markdown]
# ## Exercises
#
# Fill in the `...` in a cell and run it: the cell tells you whether you are right.
#
# **1.** Truncate three numbers by hand: $z = -2, 0, 1$ with $t = 1$. Which of them does not move?

# %% tags=["exercise"]
by_hand = ...  # three numbers in a list, to two digits

limner.exercises.check(
    by_hand,
    truncate(torch.tensor([-2.0, 0.0, 1.0]), 1.0),
    hint="statistics.NormalDist has both functions, `cdf` and `inv_cdf`.",
    tolerance=0.02,
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# `cdf` gives the rank of the number among all normal ones. This rank is squeezed into the ranks within $\pm t$, and
# `inv_cdf` turns it back into a number. 0 is in the middle of both and stays.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
from statistics import NormalDist

normal, z, t = NormalDist(), [-2.0, 0.0, 1.0], 1.0
low, high = normal.cdf(-t), normal.cdf(t)
by_hand = torch.tensor([normal.inv_cdf(low + (high - low) * normal.cdf(number)) for number in z])
assert torch.allclose(truncate(torch.tensor(z), t), by_hand, atol=1e-5)
print([f"{number:.3f}" for number in by_hand])

# %% [markdown]
# **2.** Which three of the numbers 0, 0.1, 0.5, 0.9, 1 differ most, chosen one after the other? Ask `most_different`.

# %% tags=["exercise"]
values = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
three = ...  # in a list

flat_images = values[:, None, None, None].expand(-1, 3, 2, 2)
limner.exercises.check(
    three,
    lambda three: sorted(three) == sorted(values[most_different(flat_images, 3)].tolist()),
    hint="Take the two that are farthest apart, then the one that is farthest from both.",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# The two ends, and the middle:
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
chosen = most_different(flat_images, 3)
print(values[chosen].tolist())
assert set(chosen.tolist()) == {0, 2, 4}

# %% [markdown]
# **3.** Which of the three training methods makes images differ most, and what does each cost? Compare them with three
# seeds. What does the stored trade-off say about noise reading?

# %% tags=["exercise"]
prediction = ...  # are images "more" or "less" diverse with noise reading, with one candidate and truncation 4?

points = kept.points()  # the consistency and the diversity of each variant
limner.exercises.check(
    prediction,
    "more" if points["1.0, 1, 4.0"][1] > points["0.0, 1, 4.0"][1] else "less",
    hint="The frontier is above; the labels are the weight of noise reading, candidates, and truncation.",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# More, in this comparison, with each of the three seeds. To compare the other two methods, and mode seeking with three weights:
#
# ```
# limner tradeoff scenes-one --set losses.noise-reading.weight=0.0 --set losses.conditioning-divergence.weight=0.02 --set generator.augmentation=16 \
#     --set losses.mode-seeking.weight=0.0 --vary losses.mode-seeking.weight=0.0,0.03,0.3 --seeds 3 --steps 1200 --out tradeoff-training
# ```
#
# </details>
