# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 9. Capstone: a question of your own
#
# **Goal.** Do a small piece of research from beginning to end: ask a question, say beforehand what you expect, write the
# plugin that it needs, compare, and report the result with its spread, whatever it is. Here is one example that is small
# enough to run in a minute; then it is your turn. **You need** [lesson 7](07_write_a_plugin.ipynb) and the lesson on your
# subject. **Time**: one minute for the example, a day or a week for yours.

# %%
import limner

limner.diagram("capstone")

# %% [markdown]
# ## 1. A question
#
# A good question can be answered with *yes* or *no* by a number. Before you look, write down what you expect and which number
# would prove you wrong. Ours is:
#
# > **Does the quickstart's model read the order of words, or only which words there are?**
#
# *A red circle above a blue square* and *a blue square above a red circle* have the same words and mean the opposite. So a
# model that ignores the order gets the places right in half of the images, by luck.
#
# - **We expect** that it reads the order: with exchanged objects, as many places are right as before.
# - **We are wrong** if fewer than three in four are.
# - **The control**: the same words in random order, judged by the first sentence. If these were painted as well, the order
#   would not matter.
#
# ## 2. A plugin
#
# What has to be measured is not there yet, so it is a plugin: here a metric.

# %%
import random
from itertools import permutations

import pandas as pd
import torch
from limner import Dataset, LimnerError, Metric, Painter, Scores
from limner_scenes.judge import read, score
from limner_scenes.parsing import parse
from limner_scenes.scenes import COLORS, SHAPES

PLACES = ("above", "below", "to the left of", "to the right of")


class WordOrder(Metric):
    """The share of images with the right places (`relation`), and with everything right (`exact`).

    "as written" are sentences such as "a red circle above a blue square". In "exchanged", the two objects change places
    in the sentence. "shuffled" has the words of the first in random order, and is judged by the first.
    """

    def __init__(self, dataset: Dataset, *, prompts: int = 200, seed: int = 0):
        """
        Args:
            dataset: the data set of the model; its captions must be of scenes.
            prompts: how many prompts of each kind.
            seed: of the prompts and the noise.

        Raises:
            LimnerError: if there are no prompts.
        """
        super().__init__(dataset)
        if prompts < 1:
            raise LimnerError(f"prompts: expected how many, at least 1, got {prompts}.")
        self.prompts, self.seed = prompts, seed
        self.about = f"{prompts} prompts of each kind, seed {seed}"

    def sentences(self) -> dict[str, list[tuple[str, str]]]:
        """For each kind the prompts, each with the sentence that it is judged by."""
        draw = random.Random(self.seed)
        pairs = list(permutations([(color, shape) for color in COLORS for shape in SHAPES], 2))
        kinds: dict[str, list[tuple[str, str]]] = {"as written": [], "exchanged": [], "shuffled": []}
        for first, second in draw.sample([(a, b) for a, b in pairs if a[0] != b[0] and a[1] != b[1]], self.prompts):
            one, other = (f"{'an' if color == 'orange' else 'a'} {color} {shape}" for color, shape in (first, second))
            place = draw.choice(PLACES)
            written, exchanged = f"{one} {place} {other}", f"{other} {place} {one}"
            words = written.split()
            draw.shuffle(words)
            kinds["as written"].append((written, written))
            kinds["exchanged"].append((exchanged, exchanged))
            kinds["shuffled"].append((" ".join(words), written))
        return kinds

    def measure(self, painter: Painter) -> Scores:
        scores: Scores = {}
        for kind, sentences in self.sentences().items():
            prompts, judged_by = zip(*sentences)
            asked = torch.tensor([parse(sentence) for sentence in judged_by])
            judged = score(read(painter.paint_images(prompts, self.seed)), asked)
            scores |= {f"{kind}/{name}": judged[name].float().mean().item() for name in ("relation", "exact")}
        return scores


class CapstonePlugin:
    """What this notebook provides."""

    @limner.hookimpl
    def limner_metrics(self):
        return {"word-order": WordOrder}


limner.host().register(CapstonePlugin())
kept = limner.load("quickstart")
kept.evaluate(metrics=["word-order"])

# %% [markdown]
# Look before you believe a number. One column has one noise:

# %%
examples = {
    "as written": "a red circle above a blue square",
    "exchanged": "a blue square above a red circle",
    "shuffled": "square red a above circle blue a",
}
kept.paint(list(examples.values()), n=6, seed=1)

# %% [markdown]
# ## 3. A comparison, with its spread
#
# One number may be luck. Five seeds choose other prompts and other noise:

# %%
dataset = kept.recipe.resolved("data").build(kept.recipe.image_size)
rows = [WordOrder(dataset, prompts=100, seed=seed).measure(kept) for seed in range(5)]
found = pd.DataFrame(rows)
mean, spread = found.mean().to_dict(), found.std().to_dict()
kinds = list(examples)
pd.DataFrame(
    {
        name: {kind: f"{mean[f'{kind}/{name}']:.2f} ± {spread[f'{kind}/{name}']:.2f}" for kind in kinds}
        for name in ("relation", "exact")
    }
)

# %%
assert mean["exchanged/relation"] > 0.75, "else we would have been wrong"
assert abs(mean["exchanged/relation"] - mean["as written/relation"]) < 0.05
assert mean["shuffled/exact"] < mean["as written/exact"] - 0.2, "the control"

# %% [markdown]
# ## 4. A report
#
# Half a page is enough. Ours:
#
# > **The quickstart's model reads the order of words.** With the two objects exchanged, it gets their places right as often
# > as before (within .05; five seeds with 100 prompts each), where luck would give a half. The same words in random order
# > are painted far worse. **What this does not show**: the spread is that of prompts and noise, and there is one training
# > only. Another training of the same recipe might not read the order. Nor do we know which part makes it do so.
#
# The last sentence is the next question. It needs trainings: the same metric, with three encoders, three seeds each, and
# equal steps. Once the metric is in a package of its own, one command does it, in less than an hour on two cores:
#
# ```
# limner compare quickstart --vary encoder.name=mlp,lstm,phrase --set metrics.word-order.prompts=200 \
#     --seeds 3 --steps 2400 --out comparisons/word-order
# ```
#
# ## 5. Your turn
#
# Take one of these questions, or better one of your own:
#
# - Does a fourth attention head help, or only a second? ([lesson 2](02_attention.ipynb))
# - Can a first stage of 16 pixels replace one of 32? ([lesson 3](03_hierarchy.ipynb))
# - Does a captioner that is trained longer make images more consistent? ([lesson 4](04_consistency.ipynb))
# - Which loss gives back the backgrounds that [lesson 0](00_quickstart.ipynb) misses?
# - Does the model draw pairs of color and shape that it never saw as well as those that it saw? Which pairs not?
#
# `limner new-plugin limner-NAME --kind loss` (or another kind) makes the project. Judge it, yours or someone else's, by this
# table: two points for each row that is true, one if it is true in part.
#
# | | |
# |---|---|
# | question | A number can answer it. What was expected, and what would have been wrong, was written down first. |
# | comparison | Only one thing differs. All variants have the same number of steps. There is a control. |
# | plugin | It passes its check in `limner.testing`. Its docstring has the equation and its source. |
# | spread | At least three trainings of each variant; the standard deviation stands beside each mean. |
# | pictures | The same prompts and the same noise for all variants, not chosen by hand. |
# | report | It says what was found, even if that is *no difference*, and what was not shown. |
# | reproduction | One command makes all of it again. |
#
# ## Exercises
#
# **1.** By the table, how many points does our example get for *spread*?

# %% tags=["exercise"]
points = ...  # 0, 1 or 2

limner.exercises.check(points, 1, hint="How many seeds are there, and what do they vary? How many trainings are there?")

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# One: there is a standard deviation beside each mean, but it is that of prompts and noise. There is only one training.
#
# </details>

# %% [markdown]
# **2.** Someone compares two encoders with `training.seconds=60` each. One of them is half as fast. Which rule of the table
# is broken, and what is the setting that keeps it?

# %% tags=["exercise"]
setting = ...  # such as "training.batch_size"

limner.exercises.check(setting, "training.steps", hint="Which budget is the same on every machine and for every part?")

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# `training.steps`. With equal seconds, the slower encoder gets half as many steps, so two things differ: the encoder and the
# length of the training. A comparison of equal seconds answers another question, namely what to use in a given time.
#
# </details>
