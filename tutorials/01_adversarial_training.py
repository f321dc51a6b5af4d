# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 1. Adversarial training: one game, two players
#
# **Goal.** Learn what the two players of a GAN want, in equations and in code. See why the discriminator must judge the
# text together with the image, and what mismatched pairs are for. **You need** [lesson 0](00_quickstart.ipynb).
# **Time**: about three minutes on two CPU cores.
#
# ## The game
#
# A generator $G$ turns noise $z$ into an image. A discriminator $D$ gives every image a score between 0 (generated) and
# 1 (real). They play this game (Goodfellow et al. 2014):
#
# $$\min_G \max_D \; \mathbb E_x[\log D(x)] + \mathbb E_z[\log(1 - D(G(z)))]$$
#
# Here is the class that implements it. Our discriminators return a *logit*, so $\log D$ is `logsigmoid` of the score and
# $\log(1 - D)$ is `logsigmoid` of minus the score.

# %%
import inspect

import limner
import matplotlib.pyplot as plt
import torch
from IPython.display import Code
from limner_baseline.adversarial import Adversarial, Hinge, Minimax, NonSaturating, Relativistic

Code(inspect.getsource(Minimax), language="python")

# %% [markdown]
# ### Why the generator does not play minimax
#
# Early in training the discriminator is sure of itself: the scores of generated images are very negative. The plot shows
# how hard each loss then pulls on the score. With *minimax* the pull vanishes exactly where the generator needs it. The
# *non-saturating* loss, $-\log D(G(z))$, pulls hardest there, and the *hinge* loss pulls equally everywhere. The
# *relativistic* loss asks how much less real the generated image is than a real one (here with score 2).

# %%
sizes = limner.Sizes(image=32, vocabulary=10, length=8)
scores = torch.linspace(-8, 8, 200)[:, None]
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for loss in (Minimax(sizes), NonSaturating(sizes), Hinge(sizes), Relativistic(sizes)):
    score = scores.clone().requires_grad_()
    loss.generate(torch.full_like(score, 2.0), score).mean().backward()
    assert score.grad is not None
    axes.plot(scores, -score.grad * len(scores), label=type(loss).__name__)
axes.set(xlabel="score of a generated image", ylabel="pull toward a higher score")
axes.legend()
plt.show()

# %% [markdown]
# ## The condition
#
# Our images have captions. An image should not only look real, it should also show its text $c$. So the text joins the
# game:
#
# $$L_D = -\mathbb E_{x,c}[\log D(x, c)] - \mathbb E_{c,z}[\log(1 - D(G(c, z), c))], \qquad L_G = -\mathbb E_{c,z}[\log D(G(c, z), c)]$$
#
# But is it enough to *provide* the text? The discriminator sees real images with their own captions and generated images
# with theirs. It may win by looking at the image alone and never read the text. **Mismatched pairs** (Reed et al. 2016)
# make it read: it must reject a real image with a wrong caption, although nothing is wrong with the image. This is how
# every adversarial loss in Limner combines its terms:

# %%
Code(inspect.getsource(Adversarial.discriminator), language="python")

# %% [markdown]
# A mismatched caption has to be *wrong*. The data knows what its images show, so a caption that happens to be true of an
# image is never used as a mismatch for it:

# %%
from limner.training.run import set_up

recipe = limner.Recipe.read(limner.host(), "scenes-one", ["data.count=500"])
run = set_up(limner.host(), recipe)
batch = next(iter(run.batches))
words = run.model.tokenizer.inner.batch_decode(batch.tokens.ids, skip_special_tokens=True)
wrong = [f"not: {words[int(row)]}" for row in batch.mismatched[:8]]
limner.Pictures.of(batch.images[:8], wrong)

# %% [markdown]
# ## With and without, on an equal budget
#
# Three models learn to paint one object, each for the same number of steps and from the same seed. The recipe also has two losses
# that hold an image to its text. We remove both, so that each model can learn what words mean from the adversarial loss
# alone. Later lessons cover these losses.

# %%
STEPS = 500
alone = ["losses.sentence-contrast=false", "losses.cycle=false", f"training.steps={STEPS}"]
variants = {
    "image only": [*alone, "losses.hinge.condition=none", "discriminator.realism=true", "losses.r1.condition=none"],
    "image and text": [*alone, "losses.hinge.mismatched=false"],
    "with mismatched pairs": alone,
}
models = {name: limner.train("scenes-one", overrides=changes, quiet=True) for name, changes in variants.items()}

# %%
prompts = [
    "a large red circle",
    "a large blue square on a white background",
    "a small yellow heart",
    "a large green star",
]
for name, model in models.items():
    print(name)
    display(model.paint(prompts, n=6))

# %%
reports = {name: model.evaluate() for name, model in models.items()}
attributes = ["background", "color", "size", "shape"]
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for number, (name, report) in enumerate(reports.items()):
    places = torch.arange(len(attributes)) + (number - 1) * 0.27
    axes.bar(places, [report[f"trained/{attribute}"] for attribute in attributes], 0.25, label=name)
axes.set_xticks(range(len(attributes)), attributes)
axes.set(ylabel="share of prompts met", ylim=(0, 1))
axes.legend()
plt.show()

# %% [markdown]
# The model whose discriminator judges the *image only* paints nearly the same whatever the prompt says: nothing told it
# what the words mean. The other two learn from the discriminator alone, and 500 steps are few, so shapes are still rough.
# Be careful when you compare the bars of these two: they come from **one** seed each, and runs of this length differ
# between seeds about as much as the two bars do. A claim needs several seeds; exercise 3 below shows how.

# %%
assert reports["with mismatched pairs"]["trained/color"] > reports["image only"]["trained/color"]

# %% [markdown]
# ## Exercises
#
# Fill in the `...` in a cell and run it: the cell tells you whether you are right.
#
# **1.** Compute the hinge loss of the discriminator by hand for the scores below, and compare it with the class.

# %% tags=["exercise"]
real, painted = torch.tensor([[2.0], [0.5]]), torch.tensor([[-3.0], [0.0]])
by_hand = ...  # one number

limner.exercises.check(
    by_hand,
    Hinge(sizes).discriminate(real, painted).mean(),
    hint="The mean of max(0, 1 - D) over the real images, plus the mean of max(0, 1 + D) over the generated ones.",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# $\max(0, 1 - D)$ is 0 and 0.5 for the real images, $\max(0, 1 + D)$ is 0 and 1 for the generated ones:
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
by_hand = (0 + 0.5) / 2 + (0 + 1) / 2
assert Hinge(sizes).discriminate(real, painted).mean().item() == by_hand
by_hand

# %% [markdown]
# **2.** What are the mean scores of real images with their own captions and with mismatched ones, in a model trained with
# mismatched pairs?

# %% tags=["exercise"]
from limner import Step
from limner.data.batches import Batches
from limner.recipes.build import build_dataset

model = models["with mismatched pairs"]
data = build_dataset(recipe).load()
pairs = next(iter(Batches(data, model.tokenizer, batch_size=256, seed=1)))
with torch.no_grad():
    step = Step(model.conditional_generator, model.conditional_discriminator, pairs, torch.randn(len(pairs), 32))
    true, mismatched = ..., ...  # the mean scores with true and with mismatched captions

limner.exercises.check(
    [true, mismatched],
    [judgement.match.mean() for judgement in (step.real, step.mismatched_pairs)],
    hint="step.real and step.mismatched_pairs are Judgement objects; the score of a pair is their `match`.",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# The discriminator that was shown mismatched pairs tells the two apart:
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
difference = {}
for name in ("image and text", "with mismatched pairs"):
    model = models[name]
    pairs = next(iter(Batches(data, model.tokenizer, batch_size=256, seed=1)))
    with torch.no_grad():
        step = Step(model.conditional_generator, model.conditional_discriminator, pairs, torch.randn(len(pairs), 32))
        true, mismatched = step.real.match.mean().item(), step.mismatched_pairs.match.mean().item()
    difference[name] = true - mismatched
    print(f"{name}: true caption {true:.2f}, mismatched {mismatched:.2f}")
assert difference["with mismatched pairs"] > 0

# %% [markdown]
# **3.** Is the difference between the last two bars more than luck? Train both models with three seeds
# (`training.seed=1`, ...), and report mean and standard deviation.
#
# First practice on existing scores: a comparison that appears in the next lesson has three seeds of a model without
# attention and three of one with spatial attention.

# %% tags=["exercise"]
shape = limner.load_comparison("../comparisons/attention").groupby("variant")["trained/shape"].apply(list)
print("without:", shape["none"], "\nspatial:", shape["spatial"])
gain = ...  # how much higher the mean with spatial attention is
spread = ...  # the larger of the two standard deviations

kept = limner.load_comparison("../comparisons/attention").summary()
limner.exercises.check(
    [gain, spread],
    [
        kept["spatial/trained shape"] - kept["none/trained shape"],
        max(kept.spread["spatial/trained shape"], kept.spread["none/trained shape"]),
    ],
    hint="torch.tensor(shape['none']) has the methods `mean` and `std`.",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# The gain is .20 and the standard deviation over seeds is .12. With three seeds each, this is probably not luck, but it
# is no proof. For the two bars you need six trainings:
#
# ```python
# for seed in range(3):
#     for name, changes in variants.items():
#         model = limner.train("scenes-one", overrides=[*changes, f"training.seed={seed}"], quiet=True)
#         print(seed, name, model.evaluate()["trained/color"])
# ```
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
none, spatial = torch.tensor(shape["none"]), torch.tensor(shape["spatial"])
gain, spread = spatial.mean() - none.mean(), max(none.std(), spatial.std())
print(f"gain {gain:.3f}, standard deviation over seeds {spread:.3f}")
