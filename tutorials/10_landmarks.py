# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 10. Landmarks: ten years in one table
#
# **Goal.** Meet the models that made text-to-image GANs what they are, each as a recipe of at most 40 lines. Compare them
# on equal budgets, under one judge. Then train a model of another kind, without a discriminator, and see how it paints.
# **You need** lessons [1](01_adversarial_training.ipynb) to [5](05_diversity_and_consistency.ipynb). **Time**: about two
# minutes on two CPU cores.

# %%
import limner

limner.diagram("landmarks")

# %% [markdown]
# ## Model by model
#
# Each paper has its own data, its own size and its own metrics, so their figures cannot be put side by side. Here the
# models are recipes: same scenes (two objects at 64 pixels), same batches, same number of steps. What a paper does
# differently is built as it says, only smaller. The head of each recipe lists what differs from the paper.

# %%
from importlib.resources import files

print(files("limner_landmarks").joinpath("recipes/df-gan.toml").read_text())

# %% [markdown]
# The pictures below were painted by the models of the stored league: the same eight prompts, each model trained for 2,400
# steps. There are three seeds of each; these are the pictures of the first.

# %%
from dataclasses import replace

kept = limner.load_league("../comparisons/league")


def paints(name):
    """What a model of the league paints."""
    return replace(kept.comparison.pictures(variants=[name]), scale=2)


paints("scenes-64")

# %% [markdown]
# This is the recipe that you know, `scenes-64`. The landmarks, in the order of their years:
#
# **GAN-INT-CLS** (Reed et al. 2016) conditions both players of a DCGAN on the sentence. The discriminator also sees real
# images with wrong captions (*CLS*), as in [lesson 1](01_adversarial_training.ipynb). The generator also gets captions
# halfway between two others (*INT*).

# %%
paints("gan-int-cls")

# %% [markdown]
# **StackGAN** (Zhang et al. 2017) paints in two stages, one trained after the other. The second reads the text again and
# corrects the first. It samples the sentence near its vector, the conditioning augmentation of
# [lesson 5](05_diversity_and_consistency.ipynb).

# %%
paints("stackgan")

# %% [markdown]
# **StackGAN++** (Zhang et al. 2018) trains all stages at once, with a discriminator for each. Each of them also judges the
# image without the text.

# %%
paints("stackgan-v2")

# %% [markdown]
# **AttnGAN** (Xu et al. 2018) lets the places of the image attend to single words between the stages
# ([lesson 2](02_attention.ipynb)). A matching model, the DAMSM, is trained before and then frozen; it says how well words
# and regions fit ([lesson 4](04_consistency.ipynb)).

# %%
paints("attngan")

# %% [markdown]
# **MirrorGAN** (Qiao et al. 2019) adds a captioner that reads the image back into words: the cycle of
# [lesson 4](04_consistency.ipynb).

# %%
paints("mirrorgan")

# %% [markdown]
# **DM-GAN** (Zhu et al. 2019) writes the words into a memory, with the image of the stage before. Each place of the next stage
# reads from it, and a gate decides how much it takes.

# %%
paints("dm-gan")

# %% [markdown]
# **DF-GAN** (Tao et al. 2022) goes back to one stage. Noise and sentence scale and shift every channel, several times in
# each block. One score judges image and caption together, and a penalty keeps the discriminator smooth at real pairs.

# %%
paints("df-gan")

# %% [markdown]
# **SSA-GAN** (Liao et al. 2022) predicts a mask that says *where* the sentence may change the map.

# %%
paints("ssa-gan")

# %% [markdown]
# **GigaGAN** (Kang et al. 2023) gives each convolution several kernels. Noise and sentence mix them, for each image anew. The
# recipe `gigagan` came after the stored league, so it has no picture here, and no row below.
#
# **R3GAN** (Huang et al. 2024) asks how little a modern GAN needs: a relativistic loss, gradient penalties at real and at
# generated images, grouped convolutions, and no normalization. It has class labels; our recipe gives it captions.

# %%
paints("r3gan")

# %% [markdown]
# ## The league
#
# `limner league` trains them, measures quality and cost, and writes a table and a chart. The stored one was made by
#
# ```
# limner league scenes-64 flow-64 r3gan df-gan attngan dm-gan gan-int-cls mirrorgan stackgan ssa-gan stackgan-v2 \
#     --reference scenes-64 --league scenes --seeds 3 --steps 2400 --jobs 2 --out comparisons/league
# ```
#
# The third seed comes from another machine, whose processor has no bfloat16. Each model is compared with `scenes-64` seed by
# seed, so both sides of a difference come from the same machine.

# %%
kept

# %%
import pandas as pd

columns = [
    "entry",
    "trained exact",
    "held out exact",
    "diversity",
    "all weights",
    "all multiply-adds",
    "seconds",
    "ms to paint",
]
table = pd.DataFrame(kept.rows())
table[[name for name in columns if name in table]].set_index(columns[0])

# %% [markdown]
# *Exact* asks for everything at once. The parts of it say more about models that are still at the beginning:

# %%
parts = ["trained/color", "trained/shape", "trained/relation", "trained/background", "diversity"]
means = pd.DataFrame({part: {entry: kept.mean(entry, part) for entry in kept.entries} for part in parts})
means.round(2)

# %% [markdown]
# After 2,400 steps, only the recipe of this course paints shapes, and it also costs least. All others have learned most
# backgrounds, but for one of DF-GAN's three seeds. AttnGAN, DM-GAN, MirrorGAN and flow matching know most colors. What the three GANs among them have in common
# is the DAMSM, which compares single words with regions of the image (SSA-GAN has it, too, but with a hundredth of
# AttnGAN's weight). It does not say which object is above the other: their relations are no better than a guess, and so
# are those of flow matching. The images that these three GANs paint for one prompt hardly differ, while those of flow
# matching and of R3GAN differ as much as real ones, or more. StackGAN++ is the only other model that knows where each
# object belongs, and it knows more than half of the colors.
#
# None of them is wrong: they were made for budgets a hundred times as large. What `scenes-64` has and they lack, other lessons
# have measured: without matching and the cycle, nothing is exact after as many steps ([lesson 4](04_consistency.ipynb)), and
# Adam needs more steps than Muon ([lesson 8](08_optimizers.ipynb)). With three seeds of each, the order of those behind may
# still be luck.


# %%
def score(entry, part):
    """The mean of a score of an entry."""
    return kept.mean(entry, part) or 0.0


others = [entry for entry in kept.entries if entry != "scenes-64"]
of_words = ("attngan", "dm-gan", "mirrorgan")
assert score("scenes-64", "trained/shape") > 0.9
assert max(score(entry, "trained/shape") for entry in others) < 0.1
assert min(score(entry, "trained/background") for entry in others if entry != "df-gan") > 0.8
runs = kept.comparison.results.runs
assert [(run.variant, run.seed) for run in runs if run.scores["trained/background"] < 0.7] == [("df-gan", 2)]
assert min(score(entry, "trained/color") for entry in ("flow-64", *of_words)) > 0.7
assert max(score(entry, "trained/relation") for entry in ("flow-64", *of_words)) < 0.55
assert [entry for entry in others if score(entry, "trained/relation") > 0.8] == ["stackgan-v2"]
assert score("stackgan-v2", "trained/color") > 0.5
assert max(score(entry, "diversity") for entry in of_words) < 0.3
assert min(score(entry, "diversity") for entry in ("flow-64", "r3gan")) > 1
assert min(kept.entries, key=lambda entry: kept.work(entry) or 0.0) == "scenes-64"

# %% [markdown]
# ## A model without a discriminator
#
# Most text-to-image models of today are no GANs. **Flow matching** (Lipman et al. 2023; Liu et al. 2023) needs one network
# and one loss. Join a noise image $z$ and a real image $x$ by a straight line, and go along it from time 0 to time 1:
#
# $$x_t = (1 - t)\,z + t\,x, \qquad L = \mathbb{E}\,\big[\,\|v(x_t, t, c) - (x - z)\|^2\,\big].$$
#
# The network learns the velocity $v$. To paint, start at noise and follow it: $x \leftarrow x + h\,v(x, t, c)$. There is no
# second player, so the loss tells how far the training is. In return, painting takes many passes instead of one.

# %%
import inspect

from IPython.display import Code
from limner_flow.flow import between, grid, guided, solve

Code("\n\n".join(map(inspect.getsource, (between, guided, solve))), language="python")

# %% [markdown]
# **Guidance** (Ho and Salimans 2022) makes the text count more. In training, some captions are left out. In painting, the
# network is asked with and without the caption, and goes further in the direction that the caption adds.
#
# Here is a short training on one object at 32 pixels:

# %%
import torch

recipe = {"extends": "flow-32", "title": "one object by flow matching", "data": {"objects": 1}}
model = limner.train(recipe, overrides=["training.steps=300"])

# %% [markdown]
# Follow the path of one image. The second row shows what the network expects at the end, seen from each time: first the
# mean of all images of the prompt, then more and more a certain one.

# %%
from itertools import pairwise

from limner_flow.unet import FlowUNet

network = model.conditional_generator.generator
assert isinstance(network, FlowUNet)
times, path, expected = grid(6, network.shift), [], []
with torch.no_grad():
    text = model.conditional_generator.encoder(model.tokenizer(["a large red circle on a white background"]))
    x = network.starts(torch.randn(1, network.noise_width, generator=torch.Generator().manual_seed(1)))
    for now, following in pairwise(times):
        path.append(x)
        expected.append(network.estimate(x, torch.tensor([now]), text))
        x = x + (following - now) * network.velocity(x, torch.tensor([now]), text)
labels = [f"x at t = {now:.2f}" for now in times[:-1]] + [f"expected at t = {now:.2f}" for now in times[:-1]]
limner.Pictures.of(torch.cat(path + expected).clamp(-1, 1), labels, columns=6)

# %%
model.paint(["a large red circle on a white background", "a large blue square on a black background"], n=8, seed=3)

# %% [markdown]
# After so few steps it knows backgrounds, and mostly colors, but hardly which shape. The league above shows whether more
# steps change this.

# %%
scores = model.evaluate().scores
print({name: round(score, 2) for name, score in scores.items() if name.startswith("trained/")})
assert scores["trained/background"] > 0.9
assert scores["trained/color"] > 0.4
assert scores["trained/exact"] < 0.5

# %% [markdown]
# ## Other data, another winner
#
# NLVR has drawings of three boxes, and sentences that people wrote about them (Suhr et al. 2017, CC BY 4.0). A judge reads the
# items in an image, and tests what the sentence claims about them. Here are two entries after 600 steps:
#
# ```
# limner league scenes-64 flow-64 --data-of nlvr --set data.root=nlvr --quality "painted/claim true" \
#     --seeds 3 --steps 600 --jobs 2 --out comparisons/league-nlvr
# ```

# %%
drawings = limner.load_league("../comparisons/league-nlvr")
replace(drawings.comparison.pictures(), scale=2)

# %%
claims = ["painted/readable", "painted/claim true", "painted/claim of another"]
of_claims = pd.DataFrame({part: {entry: drawings.mean(entry, part) for entry in drawings.entries} for part in claims})
of_claims.round(2)

# %% [markdown]
# Here, flow matching is ahead: the judge can read half of its images, and hardly any of `scenes-64`. Neither follows the
# sentence so far: its claim is hardly more often true of the image than the claim of another sentence.

# %%
assert of_claims.loc["flow-64", "painted/readable"] > 0.4
assert of_claims.loc["scenes-64", "painted/readable"] < 0.1
for entry in drawings.entries:
    own, of_another = (drawings.mean(entry, part) or 0.0 for part in claims[1:])
    assert own - of_another < 0.05

# %% [markdown]
# ## What a small league says, and what not
#
# - It says which recipe learns most *in this budget, at this size, on these images*. Most papers train some hundred times
#   longer, with networks ten times as large, on photographs. An idea that pays off late looks useless here.
# - Our own recipe was tuned on these scenes for a long time, and the others were not. That alone can decide a place, as the
#   drawings of NLVR show.
# - The judge knows what a scene must show. No such judge exists for photographs; there, one measures how near the
#   *distributions* are (FID), which does not see whether an image fits its text.
# - A single seed proves nothing. Read the intervals, where there are several.
#
# ## Exercises
#
# Fill in the `...` in a cell and run it: the cell tells you whether you are right.
#
# **1.** On the path from noise $z = (1, -1)$ to the image $x = (0, 2)$: where is it at $t = 0.25$, and what is its velocity?

# %% tags=["exercise"]
place = ...  # two numbers in a list
velocity = ...  # two numbers in a list

limner.exercises.check(
    [place, velocity],
    [[0.75, -0.25], [-1.0, 3.0]],
    hint="x_t = (1 - t) z + t x, and the velocity of a straight line is the same everywhere.",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# $x_t = 0.75\,z + 0.25\,x$, and $v = x - z$ at every time.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
z, image = torch.tensor([1.0, -1.0]), torch.tensor([0.0, 2.0])
print((0.75 * z + 0.25 * image).tolist(), (image - z).tolist())
assert torch.equal(0.75 * z + 0.25 * image, torch.tensor([0.75, -0.25]))

# %% [markdown]
# **2.** R3GAN's loss compares scores: the discriminator minimizes $\text{softplus}(-(D(\text{real}) - D(\text{fake})))$. How
# large is it if a real image scores 2 and a generated one 0.5?

# %% tags=["exercise"]
loss = ...

limner.exercises.check(
    loss,
    torch.nn.functional.softplus(torch.tensor(-1.5)),
    hint="softplus(a) = log(1 + exp(a)).",
    tolerance=0.01,
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# Only the difference counts: 1.5. If both scores rise by 10, the loss stays.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
from math import exp, log

print(f"{log(1 + exp(-1.5)):.3f}")
assert abs(log(1 + exp(-1.5)) - torch.nn.functional.softplus(torch.tensor(-1.5))) < 1e-6

# %% [markdown]
# **3.** `flow-64` paints with 12 steps of Euler's method and guidance. How many images does its network read for one painted
# image? (A GAN's generator makes one pass.)

# %% tags=["exercise"]
reads = ...

limner.exercises.check(reads, 24, hint="Guidance asks the network twice at each step: with the caption and without.")

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# Twelve steps, two images in each: 24.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
counted = []
with torch.no_grad():
    handle = network.patches.register_forward_hook(lambda _, inputs, __: counted.append(len(inputs[0])))
    model.paint("a large red circle on a white background", seed=0)
    handle.remove()
print(sum(counted), "images in", len(counted), "passes")
assert sum(counted) == 24

# %% [markdown]
# Enter the league yourself: change one landmark by an idea of this course, such as the optimizer Muon of
# [lesson 8](08_optimizers.ipynb) or the matching of [lesson 4](04_consistency.ipynb), as a recipe `mine.toml` with
# `extends = "df-gan"`. Write down first what you expect.
#
# ```
# limner league df-gan mine.toml --seeds 3 --steps 1200 --jobs 2 --out league-of-two
# ```
