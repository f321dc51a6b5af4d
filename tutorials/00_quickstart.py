# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 0. Quickstart: a model that paints what you say
#
# **Goal.** Train a text-to-image GAN from nothing, ask it for pictures, and measure whether they show what you asked for.
# **You need** Python and an idea of what a neural network is. **Time**: under three minutes on two CPU cores, most of it training.
#
# A *text-to-image* model takes a sentence and paints it. Three things make that hard:
#
# 1. **Two worlds must meet**: a word such as *circle* and a round patch of pixels have nothing in common to begin with.
# 2. **Detail**: an image has thousands of numbers, and a few wrong ones ruin an edge.
# 3. **Diversity against consistency**: one sentence is true of many pictures. A good model paints many *different* ones that are all *right*.

# %%
import limner

limner.host().plugins  # everything Limner can do comes from plugins; here are the installed ones

# %% [markdown]
# ## The data: captioned images
#
# We learn from images with captions. These are *captioned scenes*: two colored shapes, drawn on the spot, described by one
# plain sentence. They are simple on purpose: we know exactly what each picture shows, so later a judge can say
# whether a painted picture is right. Some combinations, such as a red star, are never shown in training.

# %%
import torch
from limner.data.batches import to_float
from limner.recipes.build import build_dataset

recipe = limner.Recipe.read(limner.host(), "quickstart")
data = build_dataset(limner.host(), recipe).load()
captions = [annotations[0]["caption"] for annotations in data.annotations[:8]]
limner.Pictures.of(to_float(data.pixels[:8]), captions)

# %% [markdown]
# Captions become **tokens**: numbers, one per word (or piece of a word), with a mask that says which are real and which only fill up
# the row. The tokenizer is learned from the captions, as BERT's was.

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
# | part | does | shape |
# |---|---|---|
# | **text encoder** | reads the caption into a vector per word and one for the sentence $s$ | tokens $[B, T] \to [B, T, D], [B, D]$ |
# | **generator** $G(z, s)$ | paints, from the sentence and from noise $z \sim \mathcal N(0, I)$ | $[B, Z], [B, D] \to [B, 3, H, W]$ |
# | **discriminator** $D(x, s)$ | scores: is this a real image, *and* one of this caption? | $[B, 3, H, W], [B, D] \to [B]$ |
# | **losses** | say what each player wants | a number |
#
# The noise is why one sentence has many pictures: another $z$, another picture. A **recipe** names the parts and their options. Here is
# the one we shall train; everything in it can be swapped for another plugin's part by one line.

# %%
import tomli_w

print(tomli_w.dumps(recipe.table()))

# %% [markdown]
# ## Training
#
# Two players, one game. The discriminator learns to tell real pictures from painted ones, and right captions from wrong ones; the
# generator learns to paint what the discriminator takes for real and right. Watch eight prompts come to be: first
# backgrounds and places, then colors, and at last, slowest of all, shapes. When the time is up many shapes are still
# wobbly; the judge below will say so.

# %%
model = limner.train(recipe)

# %% [markdown]
# The same prompts over time, from left to right:

# %%
model.film_strip(frames=8)

# %% [markdown]
# ## Painting
#
# Ask for what you like, in words that training has shown.

# %%
model.paint("a red circle above a blue square", n=8, seed=3)

# %%
model.paint(
    ["a green heart to the left of a pink circle", "a yellow cross below a cyan square on a black background"], n=6
)

# %% [markdown]
# Where did it look? This generator has *attention*: at each place of the coarse picture it asks the words what to draw there. The redder
# a place, the more it listened to the word above.

# %%
model.explain("a red circle above a blue square")

# %% [markdown]
# ## Judging
#
# Do the pictures show what was asked? The *judge* knows nothing of how an image was made. It reads shapes, colors, places and
# background off the pixels and compares them with 500 fresh prompts. **Exact** means everything was right at once. The column *held out* is about combinations
# that training never showed: does the model compose, or only remember? **Diversity** compares how much sixteen pictures of one prompt differ
# with how much real ones do: 1 is as much as real ones.

# %%
report = model.evaluate()
report

# %%
assert report["trained/background"] > 0.5, "the background comes first"
assert report["trained/relation"] > 0.5, "and where things are"
assert report["diversity"] > 0.3, "the images of one prompt should differ"

# %% [markdown]
# Backgrounds, places and colors are learned within the time, shapes only in part: two right outlines at once, each fitting its template
# well, is the last thing to come. With one object (`limner.train("scenes-one")`, two minutes) shapes come much sooner.

# %% [markdown]
# ## Where it fails
#
# A word that no caption used is said, not passed over in silence, and the model paints without it:

# %%
import warnings

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    pictures = model.paint("a red circle above a furry square", n=8)
print(said[0].message)
pictures

# %% [markdown]
# A sentence of a form that it never saw is read as well as it can be, which may be badly:

# %%
model.paint("a circle a circle a circle", n=8)

# %% [markdown]
# ## Exercises
#
# Fill in the `...` of a cell and run it: it says whether you have it.
#
# **1.** The same prompt and seed give the same picture. What happens to the picture when only one word of the prompt changes?

# %% tags=["exercise"]
prediction = ...  # the circle becomes a heart: where does the picture change more, in its "upper" or its "lower" half?

circles, hearts = (
    model.paint_images([f"a red {shape} above a blue square"] * 16, seed=1) for shape in ("circle", "heart")
)
upper, lower = (hearts - circles).abs().mean((0, 1, 3)).chunk(2)
limner.exercises.check(
    prediction, "upper" if upper.mean() > lower.mean() else "lower", hint="The noise is the same, and the place too."
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# In the upper half. The noise stays, so place and size stay much the same, and what the word names changes:
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
changed = ["a red circle above a blue square", "a red heart above a blue square", "a red heart above a pink square"]
model.paint(changed, n=6, seed=1)

# %% [markdown]
# **2.** How much of the picture does the noise decide? Paint one prompt with many noises and take the standard deviation of each pixel. Where is it large?

# %% tags=["exercise"]
painted = model.paint_images(["a red circle above a blue square"] * 64)
spread = ...  # the standard deviation of each pixel and color over the 64 images: [3, 32, 32]

limner.exercises.check(
    spread, (painted - painted.mean(0)).square().mean(0).sqrt(), "A tensor has a method `std`.", tolerance=0.02
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# It is large at the edges of the shapes, which move, and over the background when the prompt does not say its color:
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
prompts = ["a red circle above a blue square", "a red circle above a blue square on a white background"]
spread = torch.stack([model.paint_images([prompt] * 64).std(0) for prompt in prompts])
limner.Pictures.of(2 * spread / spread.max() - 1, prompts)

# %% [markdown]
# **3.** Which loss is it that makes images of one prompt differ? Take it out of the recipe, train for as long, and compare the diversity.

# %% tags=["exercise"]
name = ...  # the loss's name in the recipe

plugin_of = {loss: type(part).__module__.partition(".")[0] for loss, part in model.losses.items()}
limner.exercises.check(
    name, lambda name: plugin_of.get(name) == "limner_diversity", hint=f"It is one of {', '.join(plugin_of)}."
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# `limner.train("quickstart", overrides=["losses.noise-reading=false"])`: without reading the noise back, the generator
# soon ignores it. This is the subject of a later lesson.
#
# </details>

# %% [markdown]
# **Next**: [the adversarial game and its losses](01_adversarial_training.ipynb).
