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
# steps.

# %%
kept = limner.load_league("../comparisons/league")


def paints(name):
    """What a model of the league paints."""
    return kept.comparison.pictures(variants=[name])


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
# **DF-GAN** (Tao et al. 2022) goes back to one stage. Noise and sentence scale and shift every channel, several times in
# each block. One score judges image and caption together, and a penalty keeps the discriminator smooth at real pairs.

# %%
paints("df-gan")

# %% [markdown]
# **SSA-GAN** (Liao et al. 2022) predicts a mask that says *where* the sentence may change the map.

# %%
paints("ssa-gan")

# %% [markdown]
# **R3GAN** (Huang et al. 2024) asks how little a modern GAN needs: a relativistic loss, gradient penalties at real and at
# generated images, grouped convolutions, and no normalization. It has class labels; our recipe gives it captions.

# %%
paints("r3gan")

# %% [markdown]
# ## The league
#
# `limner league` trains all of them, measures quality and cost, and writes a table and a chart:
#
# ```
# limner league --seeds 1 --steps 2400 --jobs 2 --out comparisons/league
# ```

# %%
kept

# %%
import pandas as pd

columns = ["entry", "trained exact", "held out exact", "diversity", "all weights", "all multiply-adds", "ms to paint"]
table = pd.DataFrame(kept.rows())
table[[name for name in columns if name in table]].set_index(columns[0])

# %% [markdown]
# *Exact* asks for everything at once. The parts of it say more about models that are still at the beginning:

# %%
parts = ["trained/color", "trained/shape", "trained/relation", "trained/background", "diversity"]
means = kept.comparison.groupby("variant")[parts].mean().loc[kept.entries]
means.round(2)
