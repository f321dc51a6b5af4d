# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 7. Write a plugin: from a notebook cell to a package that others can install
#
# **Goal.** Write a loss and check its promises. Train with it and without it, and see what the judge says. Then turn it
# into a package that anyone can install with `pip`. **You need** [lesson 1](01_adversarial_training.ipynb). **Time**: about
# four minutes on two CPU cores, nearly all of it for two trainings.

# %%
import limner

limner.diagram("plugin")

# %% [markdown]
# ## The idea
#
# The discriminator tells the generator only one thing: a score. But it knows more, namely the features that it computes.
# **Feature matching** (Salimans et al. 2016, section 3.1) asks the generator for images whose features, *on average*, are
# those of real images:
#
# $$L_G = \frac{1}{n} \left\| \mathbb{E}_x[f(x)] - \mathbb{E}_{z,c}[f(G(z, c))] \right\|^2$$
#
# $f$ are the $n$ features of an image. The paper takes the sum over the features. We take the mean, so that the loss does
# not grow with their number.
#
# A loss is a class with one method for each player. It reads what it needs from the `Step`, where everything is computed
# once and shared. Its options are the keyword-only arguments of its constructor.

# %%
import json
import linecache
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from jaxtyping import Float
from limner import Attention, Loss, Sizes, Step, TextFeatures
from limner.course.new_plugin import write_plugin
from limner.kinds import COMPONENTS
from limner.testing import BrokenPromise, check_attention, check_loss
from torch import Tensor, nn


# %%
class FeatureMatching(Loss):
    """Distance between the mean features of real and generated images (after Salimans et al. 2016, section 3.1).

        L_G = (1/n ||E_x[f(x)] - E_{z,c}[f(G(z, c))]||^2)^(p/2)

    f are the discriminator's n features. The discriminator adds no term: it would only make the features larger.
    """

    def __init__(self, sizes: Sizes, *, power: float = 2.0):
        """`power`: p, the exponent of the distance."""
        super().__init__(sizes)
        self.power = power

    def generator(self, step: Step) -> Float[Tensor, ""]:
        real, painted = step.real.features.float().mean(0), step.generated.features.float().mean(0)
        return ((real.detach() - painted).square().mean() + 1e-12) ** (self.power / 2)


# %% [markdown]
# ## The promises of a loss
#
# Training relies on several promises of a loss. Each method returns one finite number, whichever is called first. The loss
# does not change any weights by itself. A recipe can set its options. A run with it can be saved and loaded, and so on.
# `limner.testing` checks all of this with tiny components and names the broken promise.

# %%
check_loss(FeatureMatching)
check_loss(FeatureMatching, power=1.0)


# %%
class Careless(FeatureMatching):
    """Returns one number per feature instead of a single one."""

    def generator(self, step: Step) -> Float[Tensor, ""]:
        return (step.real.features.mean(0) - step.generated.features.mean(0)).square()


try:
    check_loss(Careless)
except BrokenPromise as broken:
    print(broken)


# %% [markdown]
# ## Register it
#
# A **plugin** says what it provides: a name and a class. Any object can be a plugin if its functions are marked with
# `hookimpl`. Here it is an object in this notebook; later it will be a module installed with pip. The plugin host treats
# both the same way.


# %%
class MyPlugin:
    """What this notebook provides."""

    @limner.hookimpl
    def limner_losses(self):
        return {"feature-matching": FeatureMatching}


limner.host().register(MyPlugin())
list(limner.host().components("loss"))

# %% [markdown]
# ## Train without it and with it
#
# From now on a recipe can name the loss. Both trainings have the same seed and the same 700 steps, which take less than
# two minutes each on two CPU cores with AVX-512, and about four with AVX2 alone.

# %%
steps = ["training.steps=700"]
without = limner.train("scenes-one", overrides=steps, quiet=True)

# %%
matched = limner.train("scenes-one", overrides=[*steps, "losses.feature-matching.weight=1.0"], quiet=True)

# %% [markdown]
# Each pair of rows has the same prompt and the same noise:

# %%
models = {"without": without, "with feature matching": matched}
prompts = [
    "a large red circle",
    "a small blue square on a white background",
    "a large yellow heart",
    "a large green star",
]
strips = [
    (image, f"{name}: {prompt}")
    for prompt in prompts
    for name, model in models.items()
    for image in model.paint(prompt, n=6, seed=1).images
]
limner.Pictures([image for image, _ in strips], [label for _, label in strips], columns=6)

# %%
found = {name: model.evaluate().scores for name, model in models.items()}
rows = ("trained/exact", "trained/shape", "trained/color", "trained/background", "diversity")
for scores in found.values():
    assert scores["trained/shape"] > 0.6  # both models paint shapes that the judge recognizes
limner.Report({f"{name}/{row.removeprefix('trained/')}": scores[row] for name, scores in found.items() for row in rows})

# %% [markdown]
# Both models paint shapes that the judge recognizes. Which of them is better cannot be said: there is one seed of each, and
# runs of this length differ between seeds by several hundredths. For a real comparison, once the plugin is installed:
#
# ```
# limner compare scenes-one --vary losses.feature-matching.weight=0,0.3,1 --seeds 3 --steps 1200 --out comparisons/feature-matching
# ```
#
# ## Make a package of it
#
# So far nobody else can use the loss. `limner new-plugin` writes a project that is ready to publish: the entry point by which
# Limner finds it, tests, a notebook, a README, a license, and the file that runs the tests on GitHub. (On the command line:
# `limner new-plugin limner-feature-matching --kind loss`.)

# %%
project = Path(tempfile.mkdtemp()) / "limner-feature-matching"
for path in write_plugin("limner-feature-matching", "loss", project):
    print(path.relative_to(project))

# %%
print((project / "pyproject.toml").read_text().split("[tool.ruff]")[0])

# %%
print((project / "limner_feature_matching" / "__init__.py").read_text())

# %% [markdown]
# The project starts with a working loss that asks for smooth images. We replace it with ours: the cell above in which we
# wrote it, and its imports.

# %%
ours = "".join(linecache.getlines(FeatureMatching.generator.__code__.co_filename)).strip()  # the cell it came from
head = '''"""Feature matching."""

from jaxtyping import Float
from limner import Loss, Sizes, Step
from torch import Tensor


'''
component = project / "limner_feature_matching" / "feature_matching.py"
component.write_text(head + ours.replace("class FeatureMatching(", "class FeatureMatchingLoss(") + "\n")
print(component.read_text()[:600], "...")

# %% [markdown]
# Now install it. Here it goes into a separate folder, so that your environment stays as it is. In your own environment,
# use `pip install -e limner-feature-matching`. Then we ask a *new* process what is installed.

# %%
site = project.parent / "site"
install = [
    sys.executable,
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-deps",
    "--no-build-isolation",
    "--target",
    site,
    project,
]
subprocess.run(install, check=True)


def limner_command(*arguments: str) -> str:
    """The output of a `limner` command that also sees what is installed in that folder."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "limner", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=project.parent)
    return done.stdout + done.stderr


installed = {plugin["name"]: plugin for plugin in json.loads(limner_command("plugins", "--json"))["plugins"]}
print(*installed)
installed["feature-matching"]

# %% [markdown]
# Nobody told that process about our loss: it found the entry point. It can train with it, too.

# %%
print(
    limner_command(
        "train",
        "scenes-one",
        "--set",
        "losses.feature-matching.weight=1.0",
        "--set",
        "training={steps=20}",
        "--quiet",
        "--out",
        "run",
    )
)
assert (project.parent / "run" / "weights.safetensors").is_file()

# %% [markdown]
# ## When it is broken
#
# A broken plugin harms only itself. Let ours implement a hook that does not exist:

# %%
module = site / "limner_feature_matching" / "__init__.py"
whole = module.read_text()
module.write_text(whole.replace("limner_losses", "limner_loses"))
print(limner_command("train", "scenes-one", "--set", "losses.feature-matching={}", "--out", "other"))
_ = module.write_text(whole)

# %% [markdown]
# The message names the plugin, its version, and what is wrong. Everything else keeps working. To publish the package: test
# it (`pytest`), build it (`python -m build`), and upload it (`twine upload dist/*`). From then on,
# `pip install limner-feature-matching` is all that anyone needs.
#
# ## Exercises
#
# Fill in the `...` in a cell and run it: the cell tells you whether you are right.
#
# **1.** There are hooks for eight kinds of component. Which one does a plugin use to provide its own attention?

# %% tags=["exercise"]
hook = ...  # its name, in quotation marks

limner.exercises.check(hook, COMPONENTS["attention"].hook, hint="The hook for losses is limner_losses.")

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# `limner_attentions`. Here are all of them:
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
print({name: kind.hook for name, kind in COMPONENTS.items()})

# %% [markdown]
# **2.** Here is an attention module. Which promise does it break?

# %% tags=["exercise"]
answer = ...  # "starts as nearly the identity", "gradients reach all weights", or "padding has no influence"?


class MeanOfWords(Attention):
    """Adds the mean of the words to every position."""

    def __init__(self, sizes: Sizes, channels: int):
        super().__init__(sizes, channels)
        self.value = nn.Linear(sizes.text, channels)

    def forward(self, features: Float[Tensor, "B C H W"], text: TextFeatures) -> Float[Tensor, "B C H W"]:
        heard = text.words.mean(1) / 500
        return features + self.value(heard)[..., None, None] / 10


limner.exercises.check(
    answer,
    "padding has no influence",
    hint="Captions in a batch have different lengths. What does `mean(1)` take the mean of?",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# Padding must have no influence. The mean includes padding, so a caption is read differently next to a longer one. The
# check finds this:
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
try:
    check_attention(MeanOfWords)
except BrokenPromise as broken:
    print(broken)

# %% [markdown]
# **3.** Two plugins provide a loss with the same name. Which one does a recipe get?

# %% tags=["exercise"]
got = ...  # "the first", "the last" or "neither"?

limner.exercises.check(
    got, "neither", hint="Would you want results to depend on the order in which things were installed?"
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# Neither: if you ask for it, you get an error that names both owners.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
other = limner.PluginHost(discover=False)
for plugin in (MyPlugin(), MyPlugin()):
    other.register(plugin)
try:
    other.load("loss", "feature-matching")
except limner.LimnerError as error:
    print(error)
