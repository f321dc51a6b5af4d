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
# [lesson 4](04_consistency.ipynb). **Time**: about four minutes on two CPU cores.
#
# ## The dilemma
#
# Many pictures fit *a red circle*: large or small, left or right, on black or on gray. A good model paints many different
# ones (**diversity**), all of them right (**consistency**). Neither is hard alone. Here are three painters that need no
# training: one shows real scenes of the prompt, one has memorized *one* picture for each prompt, and one shows any scene at
# all, whatever the prompt.

# %%
import inspect
import tempfile
from pathlib import Path

import limner
import torch
from IPython.display import Code
from limner.layers import ConditioningAugmentation
from limner.models.painter import measure
from limner.models.sampling import most_different, truncate
from limner_diversity.distribution import Distribution
from limner_diversity.mode_seeking import ModeSeeking
from limner_diversity.noise_reading import NoiseReading
from limner_diversity.prompt_diversity import PromptDiversity, vendi_score
from limner_scenes.dataset import Scenes

scenes = Scenes(32, objects=1, count=2000)


class OneEach:
    """Always the same picture for the same prompt."""

    def paint_images(self, prompts, seed=0):
        return torch.cat([scenes.real_images(prompt, 1, seed=7) for prompt in prompts]).float() / 127.5 - 1


class Whatever:
    """A real scene, of another prompt."""

    def paint_images(self, prompts, seed=0):
        pixels = scenes.load().pixels
        rows = torch.randint(len(pixels), (len(prompts),), generator=torch.Generator().manual_seed(seed))
        return pixels[rows].float() / 127.5 - 1


painters = {"real": limner.RealImages(scenes), "one each": OneEach(), "whatever": Whatever()}
prompt = "a large red circle"
print(scenes.prompts(3, seed=0).texts)
limner.Pictures.of(
    torch.cat([painter.paint_images([prompt] * 8, seed=1) for painter in painters.values()]),
    [name for name in painters for _ in range(8)],
    columns=8,
)

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
quick = {"metrics.scene-judge.prompts": 200, "metrics.scene-diversity.prompts": 10}
changes = [f"{key}={value}" for key, value in quick.items()]
recipe = limner.Recipe.read(limner.host(), "scenes-one", changes)
numbers = [PromptDiversity(scenes, prompts=10), Distribution(scenes, images=300)]


def both_sides(painter):
    """Exact match, diversity, and the plugin's metrics."""
    found = measure(limner.host(), recipe, painter).scores
    found |= {name: value for metric in numbers for name, value in metric.measure(painter).items()}
    wanted = ("trained/exact", "diversity", "painted/Vendi score", "precision", "recall", "coverage", "FID")
    return {name.removeprefix("trained/").removeprefix("painted/"): found[name] for name in wanted}


def side_by_side(painters):
    """A table with one column per painter."""
    columns = {name: both_sides(painter) for name, painter in painters.items()}
    return limner.Report({f"{name}/{row}": value for name, found in columns.items() for row, value in found.items()})


side_by_side(painters)

# %% [markdown]
# *One each* is exactly right every time, and its diversity is 0: **exact match alone rewards it**, and so does precision.
# Recall and coverage notice. *Whatever* has the distribution of real images and more than enough diversity, but is hardly
# ever right; FID rewards it. So always look at one number of each kind.
#
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
# Where the noise *enters* matters too: `generator.noise_at` is `"every level"` or `"input"`, and `noise_scale` sets its
# strength relative to the sentence.
#
# ## When painting: how near to the mean?
#
# Noise far from its mean was rare in training, and its images are often the odd ones. **Truncation** keeps the noise
# within $\pm t$.

# %%
Code(inspect.getsource(truncate), language="python")

# %% [markdown]
# ## The frontier
#
# Now we measure. Two models of one object, with and without noise reading, are each sampled with three truncations.
# `limner.tradeoff` trains each model once and plots consistency against diversity. The **frontier** joins the points that
# no other point beats on both sides.

# %%
folder = Path(tempfile.mkdtemp()) / "tradeoff"
live = limner.tradeoff(
    "scenes-one",
    {"losses.noise-reading.weight": [0, 1], "sampling.truncation": [4.0, 1.0, 0.5]},
    seeds=1,
    steps=500,
    out=folder,
    overrides=[*changes, "training.snapshots=[0.85, 0.92]"],
    quiet=True,
)
live

# %%
live.table()

# %% [markdown]
# Each label is *weight of noise reading, truncation*. After such a short training most images are not exact yet. The longer
# comparison that comes with the project has three seeds, and a second way to sample. It was made with Adam, before the
# recipes used Muon:
#
# ```
# limner tradeoff scenes-one --vary losses.noise-reading.weight=0.0,1.0 --vary sampling.candidates=1,8 --vary sampling.truncation=1.0,4.0 \
#     --seeds 3 --steps 2000 --out comparisons/tradeoff
# ```
#
# Its labels are *weight of noise reading, candidates, truncation*.

# %%
kept = limner.load_tradeoff("../comparisons/tradeoff")
kept

# %%
kept.table()

# %% [markdown]
# The results (mean ± standard deviation of three seeds, 2,000 steps of one object):
#
# - **Truncation** is a simple trade: within ±1 instead of ±4, exact match rises from .68 to .73 and diversity falls from
#   .65 to .45 (with noise reading; without, .55 to .58 and .77 to .55).
# - **Noise reading** made images more often exact here: .55 ± .07 without and .68 ± .05 with it. It did *not* make them
#   more diverse: .77 ± .18 and .65 ± .06. But it made the seeds agree; without it, one kept .97 of the real diversity and
#   another .63. With Adam, on one object, no generator had stopped using its
#   noise yet; compare the live run above, one seed with Muon.
# - **The best of 8 by the model's own matching** gained nothing: .68 became .67, at .58 of diversity. The generator was
#   trained to please this very matching, so the matching cannot see what is wrong. The model's captioner does little better
#   (.69).
# - **The best of 8 when most images are wrong**: six models of two objects (`scenes-32`), stopped after some 1,450 steps,
#   are exact on .054 without selection and on .067 when their captioner chooses from 8. Five of the six gain, by .02 on
#   average, and one loses .01. There is more to choose from while the model is undecided.
# - **Three models as one**: the ensemble of the three seeds has .88 of the real diversity, compared with .65 for its mean
#   member, and is exact on .69, compared with .68. That is a gain at no cost but two more trainings.
# - **A jury of others sees more**: when all three captioners choose each image of this ensemble from 8, .72 are exact (.63
#   of held-out pairs, .62 before), at .66 of diversity.
#
# The captioner's .69, the ensemble and the jury were measured on the runs of the chart, with
# `limner evaluate RUN --with OTHER --with THIRD --best-of 8 --by caption`. They use 500 prompts, so treat differences below
# .03 as luck.
#
# ## One prompt, several ways
#
# Here is the model with noise reading, with eight pictures for each way to sample.

# %%
model = limner.load(folder / "runs" / "1-4.0-0")
plain = model.paint(prompt, n=8, seed=2)
plain

# %%
model.paint(prompt, n=8, seed=2, truncation=0.5)

# %% [markdown]
# Under truncation the same seeds give the same pictures, pulled toward the middle. Next, the model paints 64 pictures and
# keeps eight: those that fit best by the model's own matching, those that fit best by its captioner, and those that differ
# most.

# %%
model.paint(prompt, n=8, seed=2, best_of=64, by="matching")

# %%
model.paint(prompt, n=8, seed=2, best_of=64, by="caption")

# %%
model.paint(prompt, n=8, seed=2, best_of=64, by="diversity")

# %% [markdown]
# How much does the best of 8 gain over many prompts? Now every image is the best of eight candidates, chosen by the model
# itself:

# %%
from limner.recipes.schema import Sampling

ways = {
    "as it comes": Sampling(),
    "best of 8 by matching": Sampling(candidates=8),
    "best of 8 by caption": Sampling(candidates=8, by="caption"),
}
found = {name: model.evaluate(sampling=way).scores for name, way in ways.items()}
limner.Report(
    {
        f"{name}/{row.removeprefix('trained/')}": scores[row]
        for name, scores in found.items()
        for row in ("trained/exact", "trained/shape", "trained/color", "diversity")
    }
)

# %% [markdown]
# ## Several models
#
# Each image of an **ensemble** is painted by one of its members, drawn at random. Members with different habits are more
# diverse together.

# %%
Code(inspect.getsource(limner.Ensemble.sample), language="python")

# %% [markdown]
# The cheapest ensemble needs no extra training: **snapshots** of one run (`training.snapshots`). Each is a run folder of
# its own.

# %%
snapshots = sorted((folder / "runs" / "1-4.0-0" / "snapshots").iterdir())
members = [model, *(limner.load(snapshot) for snapshot in snapshots)]
ensemble = limner.Ensemble(members)
ensemble.paint(prompt, n=8, seed=2)

# %%
scores = [member.evaluate().scores for member in members]
together = ensemble.evaluate().scores
rows = ("trained/exact", "diversity")
limner.Report(
    {f"mean of the members/{row.removeprefix('trained/')}": sum(s[row] for s in scores) / len(scores) for row in rows}
    | {f"together/{row.removeprefix('trained/')}": together[row] for row in rows}
)

# %% [markdown]
# Snapshots of one run are very similar, so they gain little. Models from different seeds are not: see the figures above.
#
# ## A collapse, on purpose
#
# Turn the noise down to almost nothing (`noise_scale = 0.01`) and give the generator no reason to use it. Each picture on
# its own may look as good as ever.

# %%
silent = ["losses.noise-reading.weight=0.0", "generator.noise_scale=0.01", "training.steps=300", *changes]
collapsed = limner.train("scenes-one", overrides=silent, quiet=True)
collapsed.paint(prompt, n=8, seed=2)

# %%
side_by_side({"with noise": model, "collapsed": collapsed})

# %% [markdown]
# The eight pictures are the same. Diversity is near 0 and the Vendi score near 1, so you do not even have to look. That is
# how to find a collapse among a hundred runs.

# %%
alone = both_sides(collapsed)
assert alone["diversity"] < 0.1
assert alone["Vendi score"] < 1.3

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
# Less, in such a short training. To compare the other two methods, and mode seeking with three weights:
#
# ```
# limner tradeoff scenes-one --set losses.noise-reading.weight=0.0 --set losses.conditioning-divergence.weight=0.02 --set generator.augmentation=16 \
#     --set losses.mode-seeking.weight=0.0 --vary losses.mode-seeking.weight=0.0,0.03,0.3 --seeds 3 --seconds 120 --out tradeoff-training
# ```
#
# </details>
