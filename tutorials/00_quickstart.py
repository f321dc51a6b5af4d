# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 0. Quickstart: a model that paints what you say
#
# **Goal.** Train a text-to-image GAN from scratch, ask it for pictures, and measure whether they show what you asked for.
# **You need** Python and a basic idea of what a neural network is. **Time**: four minutes on two CPU cores with AVX-512, and
# ten with AVX2 alone, most of it training.

# %%
import limner

limner.diagram("quickstart")

# %% [markdown]
# A *text-to-image* model takes a sentence and paints a picture of it. Three things make this hard:
#
# 1. **Two modalities**: a word such as *circle* and a round patch of pixels have nothing in common at first.
# 2. **Detail**: an image has thousands of numbers, and a few wrong ones ruin an edge.
# 3. **Diversity versus consistency**: many pictures fit one sentence. A good model paints many *different* ones that are
#    all *right*.

# %%
kept = limner.load("quickstart")
limner.playground(kept)

# %% [markdown]
# This *playground* has a model that was trained with this very lesson's recipe, the best of several trainings. Type a
# prompt and press Enter, or pick one. Under each picture is what the judge says (✓ or ✗) and, in quotation marks, what the
# model itself reads in it. Can you find a prompt that it gets wrong? Try another seed, a word that it does not know, and
# the way from one picture to another. By the end of this lesson, you have trained such a model yourself.

# %%
limner.host().plugins  # everything Limner can do comes from plugins; here are the installed ones

# %% [markdown]
# ## The data: captioned images
#
# The model learns from images with captions. Ours are *captioned scenes*: two colored shapes, drawn on the fly and
# described in one of eight wordings. They are simple on purpose. Because we know exactly what each image shows, a judge can
# check later whether a generated image is right. Some combinations, such as a red star, never appear in training.

# %%
import torch
from limner.recipes.build import build_dataset

recipe = limner.Recipe.read(limner.host(), "quickstart")
data = build_dataset(recipe).load()
captions = [annotations[0]["caption"] for annotations in data.annotations[:8]]
limner.Pictures.of(limner.to_float(data.pixels[:8]), captions)

# %% [markdown]
# A tokenizer turns captions into **tokens**: one number per word (or piece of a word). A mask tells real tokens from
# padding. The tokenizer is learned from the captions, as BERT's was.

# %%
tokenizer = limner.Tokenizer.learn([a["caption"] for group in data.annotations for a in group], recipe.text)
tokens = tokenizer(captions[:2])
print(tokens.ids)
print(tokens.mask.int())
print(tokenizer.inner.convert_ids_to_tokens(tokens.ids[0].tolist()))
assert tokens.mask.any(1).all()

# %% [markdown]
# ## The parts of the model
#
# | part | what it does | shape |
# |---|---|---|
# | **text encoder** | turns the caption into one vector per word and one for the sentence $s$ | tokens $[B, T] \to [B, T, D], [B, D]$ |
# | **generator** $G(z, s)$ | paints an image from the sentence and noise $z \sim \mathcal N(0, I)$ | $[B, Z], [B, D] \to [B, 3, H, W]$ |
# | **discriminator** $D(x, s)$ | scores an image: is it real, *and* does it fit this caption? | $[B, 3, H, W], [B, D] \to [B]$ |
# | **losses** | define what each player minimizes | a number |
#
# The noise is why one sentence has many images: a different $z$ gives a different image. A **recipe** names the parts and
# their options. Here is the one we train. Any part can be replaced with one from another plugin by changing one line.

# %%
import tomli_w

print(tomli_w.dumps(recipe.table()))

# %% [markdown]
# ## Training
#
# Training is a game of two players. The discriminator learns to tell real images from generated ones, and right captions
# from wrong ones. The generator learns to paint images that the discriminator takes for real and right. Watch eight
# prompts take shape: backgrounds and places come first, then colors, and last, slowest of all, shapes. The training
# makes 2,400 steps of 32 images. The bar says how long that takes on this machine.

# %%
model = limner.train(recipe)

# %% [markdown]
# The same prompts over time, as a film and from left to right. `model.film_animation().save("film.gif")` keeps the film.

# %%
model.film_animation()

# %%
model.film_strip(frames=8)

# %% [markdown]
# ## Painting
#
# Ask for anything you like, in words that appeared in training.

# %%
model.paint("a red circle above a blue square", n=8, seed=3)

# %%
model.paint(
    ["a green heart to the left of a pink circle", "a yellow cross below a cyan square on a black background"], n=6
)

# %% [markdown]
# ### What the noise decides
#
# These prompts name no background, so each may have any. In the data, every background is about equally frequent. Is it in
# the images, too? The judge, of which more below, reads a hundred images of each prompt. Here we take the model that comes
# along:

# %%
import pandas as pd
from limner_scenes.judge import read
from limner_scenes.scenes import BACKGROUNDS, COLORS, PALETTE


def shares(images):
    """How often each background is there, as fractions of all images."""
    backgrounds = read(images).backgrounds
    return {name: (backgrounds == number).float().mean().item() for number, name in enumerate(BACKGROUNDS)}


named_none = [
    "a red circle above a blue square",
    "a green heart to the left of a pink circle",
    "a yellow cross below a cyan square",
]
found = {prompt: shares(kept.paint_images([prompt] * 100)) for prompt in named_none}
found["the data"] = shares(limner.to_float(data.pixels[:2000]))
table = pd.DataFrame.from_dict(found, orient="index")
assert table.loc["the data"].between(0.2, 0.3).all()
assert ((table.loc[named_none] > 0.1).sum(axis=1) >= 2).all(), "a prompt has several backgrounds"
assert (table.loc[named_none].max(axis=1) > 0.4).all(), "one of them is more frequent than in the data"
assert (table.loc[named_none].min(axis=1) < 0.05).any(), "and one may be missing"
table.round(2)

# %% [markdown]
# Not quite: the noise chooses between several backgrounds. But for each prompt one of them is too frequent, and another one
# may be missing, although no word asked for that. This is one way in which a GAN shows less than its data has.
# [Lesson 5](05_diversity_and_consistency.ipynb) is about it.
#
# ### Where the model looks
#
# This generator has *attention*: each word spreads its weight over the places of a coarse feature map. The redder a place,
# the more weight the word above has there.

# %%
kept.explain("a green heart to the left of a pink circle")

# %% [markdown]
# *Green* acts on the heart and *pink* on the circle. The other words put nearly all their weight beside the objects, most of
# them in a corner. The weights of a word always sum to 1, so a word that has nothing to add must put them somewhere. Such a
# place is called an **attention sink**. Is it the same for other prompts? We count how much of its weight each word has
# where the image shows a given color:

# %%
palette = torch.tensor(PALETTE) / 127.5 - 1  # [12, 3]: the colors of objects, then those of backgrounds


def weights_on_objects(prompt, seed):
    """The weight of each color's word on the object of this color, and that of each other word on any object."""
    nearest = torch.cdist(kept.paint_images([prompt], seed)[0].flatten(1).T, palette).argmin(1).view(32, 32)
    explained = kept.explain(prompt, seed)
    own, others = [], []
    for (word, is_word), weights in zip(explained.pieces, explained.attention_maps[-1].weights[0]):
        shown = nearest == COLORS.index(word) if word in COLORS else nearest < len(COLORS)
        places = shown.view(8, 4, 8, 4).float().mean((1, 3)) > 0.25  # [8, 8]
        if is_word:
            (own if word in COLORS else others).append(weights[places].sum().item())
    return own, others


asked = [*named_none, "a blue heart above a yellow square", "a pink star below a green circle"]
counted = [weights_on_objects(prompt, seed) for prompt in asked for seed in range(3)]
own, others = (torch.tensor([number for group in groups for number in group]).mean() for groups in zip(*counted))
print(f"words of colors, on the object of that color: {own:.0%}; other words, on any object: {others:.0%}")
assert own > 0.7
assert others < 0.1

# %% [markdown]
# So here attention brings each color to its object. [Lesson 2](02_attention.ipynb) computes such weights by hand, and
# compares three kinds of attention.

# %% [markdown]
# ## Judging
#
# Do the images show what was asked for? The *judge* does not know how an image was made. It reads shapes, colors, places
# and background from the pixels and compares them with 500 fresh prompts. **Exact** means that everything was right at
# once. The column *held out* covers combinations that never appeared in training: does the model compose, or only
# remember? **Diversity** compares how much sixteen images of one prompt differ with how much real ones do. A value of 1
# means as much as real ones.

# %%
report = model.evaluate()
report

# %%
assert report["trained/exact"] > 0.7, "most images show everything that was asked for"
assert report["held out/exact"] > 0.4, "also with pairs of color and shape that were never trained"
assert report["trained/relation"] > 0.8, "which object is where, in all eight wordings"
assert report["trained/shape"] < min(report["trained/color"], report["trained/relation"]), "shapes take longest"
assert report["diversity"] > 0.3, "the images of one prompt should differ"

# %% [markdown]
# What is still wrong is mostly a shape: two right outlines at once, each close to its template, take longest.

# %% [markdown]
# ## Where it fails
#
# A word that no caption used triggers a warning, and the model paints without it:

# %%
import warnings

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    pictures = model.paint("a red circle above a furry square", n=8)
print(said[0].message)
pictures

# %% [markdown]
# The model also reads sentences of a form it never saw, but perhaps badly:

# %%
model.paint("a circle a circle a circle", n=8)

# %% [markdown]
# ## Exercises
#
# Fill in the `...` in a cell and run it: the cell tells you whether you are right.
#
# **1.** The same prompt and seed give the same image. What happens to the image when only one word of the prompt changes?

# %% tags=["exercise"]
prediction = ...  # the circle becomes a heart: where does the picture change more, in its "upper" or its "lower" half?

circles, hearts = (
    model.paint_images([f"a red {shape} above a blue square"] * 16, seed=1) for shape in ("circle", "heart")
)
upper, lower = (hearts - circles).abs().mean((0, 1, 3)).chunk(2)
limner.exercises.check(
    prediction,
    "upper" if upper.mean() > lower.mean() else "lower",
    hint="The noise is the same. Which of the two objects changes?",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# In the upper half, where the circle is. But one word changes more than its object. Below, the images in one column share
# their noise: even so, some backgrounds and places change with the words.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
changed = ["a red circle above a blue square", "a red heart above a blue square", "a red heart above a pink square"]
circles, hearts = (read(kept.paint_images([prompt] * 6, seed=1)) for prompt in changed[:2])
assert (circles.backgrounds != hearts.backgrounds).any()
kept.paint(changed, n=6, seed=1)

# %% [markdown]
# **2.** How much of the image does the noise decide? Paint one prompt with many noise vectors and take the standard
# deviation of each pixel. Where is it large?

# %% tags=["exercise"]
painted = model.paint_images(["a red circle above a blue square"] * 64)
spread = ...  # the standard deviation of each pixel and color over the 64 images: [3, 32, 32]

limner.exercises.check(
    spread, (painted - painted.mean(0)).square().mean(0).sqrt(), "A tensor has a method `std`.", tolerance=0.02
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# It is large at the edges of the shapes, which move, and in the background if the prompt does not name its color:
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
prompts = ["a red circle above a blue square", "a red circle above a blue square on a white background"]
spread = torch.stack([model.paint_images([prompt] * 64).std(0) for prompt in prompts])
limner.Pictures.of(2 * spread / spread.max() - 1, prompts)

# %% [markdown]
# **3.** Which loss asks the generator to make images of one prompt differ? Remove it from the recipe, train for the same
# time, and compare the diversity.

# %% tags=["exercise"]
name = ...  # the loss's name in the recipe

plugin_of = {loss: type(part).__module__.partition(".")[0] for loss, part in model.losses.items()}
limner.exercises.check(
    name, lambda name: plugin_of.get(name) == "limner_diversity", hint=f"It is one of {', '.join(plugin_of)}."
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# `limner.train("quickstart", overrides=["losses.noise-reading=false"])`. Without this loss, nothing asks the generator to
# use the noise. [Lesson 5](05_diversity_and_consistency.ipynb) measures its effect.
#
# </details>

# %% [markdown]
# **Next**: [a GAN in sixty lines](00b_sixty_lines.ipynb) of plain PyTorch, or at once
# [the adversarial game and its losses](01_adversarial_training.ipynb).
