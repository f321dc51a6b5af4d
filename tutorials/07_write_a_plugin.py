# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 7. A plugin of your own: from a cell of a notebook to a package that others install
#
# **Goal.** Write a loss, have its promises checked, train with it and without it, see what the judge says, and make a distribution of it that `pip install` brings to everybody.
# **You need** [lesson 1](01_adversarial_training.ipynb). **Time**: about two and a half minutes on two CPU cores.
#
# ## The idea
#
# The generator is told one thing by the discriminator: a score. The discriminator knows more, namely the features that it sees. **Feature matching** (Salimans et al. 2016, equation 1) asks the generator to paint
# images that *on the average* show the features that real ones show:
#
# $$L_G = \left\| \mathbb{E}_x[f(x)] - \mathbb{E}_{z,c}[f(G(z, c))] \right\|^2$$
#
# A loss is a class with a side for each player. It reads what it needs from the `Step`, where everything is computed once and shared. Its options are the keyword-only arguments of its constructor.

# %%
import json
import linecache
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import limner
from jaxtyping import Float
from limner import Attention, Loss, Sizes, Step, TextFeatures
from limner.course.new_plugin import write_plugin
from limner.kinds import COMPONENTS
from limner.testing import BrokenPromise, check_attention, check_loss
from torch import Tensor, nn


# %%
class FeatureMatching(Loss):
    """How far the mean features of painted images are from those of real ones (Salimans et al. 2016, equation 1).

        L_G = ||E_x[f(x)] - E_{z,c}[f(G(z, c))]||^p

    f are the discriminator's features. The discriminator has no wish here: it would only make them larger.
    """

    def __init__(self, sizes: Sizes, *, power: float = 2.0):
        """`power`: p, of the distance."""
        super().__init__(sizes)
        self.power = power

    def generator(self, step: Step) -> Float[Tensor, ""]:
        real, painted = step.real.features.float().mean(0), step.generated.features.float().mean(0)
        return ((real.detach() - painted).square().mean() + 1e-12) ** (self.power / 2)


# %% [markdown]
# ## The promises of a loss
#
# Whoever trains with your loss counts on a lot: that each side is one finite number, the same whoever is asked first, that it moves nothing by itself, that its options can be set in a recipe, that a run with it can be
# saved and loaded ... `limner.testing` checks all of it in a game of tiny parts, and says which promise is broken.

# %%
check_loss(FeatureMatching)
check_loss(FeatureMatching, power=1.0)


# %%
class Careless(FeatureMatching):
    """A loss for each feature instead of one number."""

    def generator(self, step: Step) -> Float[Tensor, ""]:
        return (step.real.features.mean(0) - step.generated.features.mean(0)).square()


try:
    check_loss(Careless)
except BrokenPromise as broken:
    print(broken)


# %% [markdown]
# ## Bring it
#
# A **plugin** says what it brings: a name and a class. Anything can be one whose functions are marked with `hookimpl`; here an object of this notebook, later a module that pip installed. The host takes in both alike.


# %%
class MyPlugin:
    """What this notebook brings."""

    @limner.hookimpl
    def limner_losses(self):
        return {"feature-matching": FeatureMatching}


limner.host().register(MyPlugin())
list(limner.host().components("loss"))

# %% [markdown]
# ## Train without it and with it
#
# From now on a recipe may name it. Both trainings get the same seed and the same time.

# %%
quick = ["training.seconds=35", "metrics.scene-judge.prompts=200", "metrics.scene-diversity.prompts=10"]
without = limner.train("scenes-one", overrides=quick, quiet=True)
matched = limner.train("scenes-one", overrides=[*quick, "losses.feature-matching.weight=1.0"], quiet=True)

# %%
prompts = ["a large red circle", "a small blue square on a white background"]
without.paint(prompts, n=6, seed=1)

# %%
matched.paint(prompts, n=6, seed=1)

# %%
found = {"without": without.evaluate().scores, "with feature matching": matched.evaluate().scores}
rows = ("trained/exact", "trained/shape", "trained/color", "trained/background", "diversity")
limner.Report({f"{name}/{row.removeprefix('trained/')}": scores[row] for name, scores in found.items() for row in rows})

# %% [markdown]
# One seed and half a minute are a first look, and no verdict: differences of a few hundredths are luck. For a verdict, once it is installed:
#
# ```
# limner compare scenes-one --vary losses.feature-matching.weight=0,0.3,1 --seeds 3 --seconds 120 --out comparisons/feature-matching
# ```
#
# ## Make a distribution of it
#
# In this notebook the loss is of use to nobody else. `limner new-plugin` writes a project that can be published as it is: the entry point by which Limner finds it, tests, a notebook, a README, a licence, and the file that
# has all of it tested on GitHub. (On the command line: `limner new-plugin limner-feature-matching --kind loss`.)

# %%
project = Path(tempfile.mkdtemp()) / "limner-feature-matching"
for path in write_plugin("limner-feature-matching", "loss", project):
    print(path.relative_to(project))

# %%
print((project / "pyproject.toml").read_text().split("[tool.ruff]")[0])

# %%
print((project / "limner_feature_matching" / "__init__.py").read_text())

# %% [markdown]
# The project begins with a loss that works, which asks for smooth pictures. Put ours in its place: the cell above in which we wrote it, and what it imports.

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
# Install it. Here it goes into a folder of its own, so that your environment stays as it is; for yourself, `pip install -e limner-feature-matching` will do. Then ask a *new* process what is installed.

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
    """What the command line says, with what is installed in that folder."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "limner", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=project.parent)
    return done.stdout + done.stderr


installed = {plugin["name"]: plugin for plugin in json.loads(limner_command("plugins", "--json"))["plugins"]}
print(*installed)
installed["feature-matching"]

# %% [markdown]
# Nobody told that process of our loss: it found the entry point. It can train with it, too.

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
# A broken plugin harms nobody but itself. Let it ask for a hook that does not exist:

# %%
module = site / "limner_feature_matching" / "__init__.py"
whole = module.read_text()
module.write_text(whole.replace("limner_losses", "limner_loses"))
print(limner_command("train", "scenes-one", "--set", "losses.feature-matching={}", "--out", "other"))
_ = module.write_text(whole)

# %% [markdown]
# The message names the plugin, its version, and what is wrong; everything else goes on. To publish it: test it (`pytest`), build it (`python -m build`), upload it (`twine upload dist/*`). From then on
# `pip install limner-feature-matching` is all that anybody needs.
#
# ## Exercises
#
# Fill in the `...` of a cell and run it: it says whether you have it.
#
# **1.** There are hooks for eight kinds of component. With which does a plugin bring an attention of its own?

# %% tags=["exercise"]
hook = ...  # its name, in quotation marks

limner.exercises.check(hook, COMPONENTS["attention"].hook, hint="That of a loss is limner_losses.")

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# `limner_attentions`. All of them:
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
print({name: kind.hook for name, kind in COMPONENTS.items()})

# %% [markdown]
# **2.** Here is an attention. Which promise does it break?

# %% tags=["exercise"]
answer = ...  # "begins as nearly the identity", "gradients reach every one of its weights", or "padding and the words"?


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
    "padding and the words",
    hint="Captions of one batch have different lengths. What does `mean(1)` take the mean of?",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# Padding and the words: the mean is taken over padding as well, so a caption is read differently beside a longer one. The check says so:
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
try:
    check_attention(MeanOfWords)
except BrokenPromise as broken:
    print(broken)

# %% [markdown]
# **3.** Two plugins bring a loss of one name. Which one does a recipe get?

# %% tags=["exercise"]
got = ...  # "the first", "the last" or "neither"?

limner.exercises.check(
    got, "neither", hint="Would you want results to depend on the order in which things were installed?"
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# Neither: whoever asks for it is told who owns the name.
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
