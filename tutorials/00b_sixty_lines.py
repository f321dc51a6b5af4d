# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 0b. A GAN in sixty lines
#
# **Goal.** Write a GAN yourself, in plain PyTorch: first one of points in the plane, where everything can be seen and
# checked, then one that paints what a sentence says. Then find each part again in Limner. **You need**
# [lesson 0](00_quickstart.ipynb) for the idea, and a little PyTorch. **Time**: one to two minutes on two CPU cores.

# %%
import limner

limner.diagram("sixty-lines")

# %% [markdown]
# ## The game, in the plane
#
# A real example is a point $x$ here, not an image. Real points lie in eight groups on a ring. The generator $G$ turns
# noise z into points. The discriminator $D$ gives each point the probability that it is real. They play this game
# (Goodfellow et al. 2014):
#
# $$\min_G \max_D \; \mathbb E_x[\log D(x)] + \mathbb E_z[\log(1 - D(G(z)))]$$
#
# Our discriminators return a score $s$ instead, with $D = \sigma(s)$, because $\log \sigma(s)$ can be computed without
# rounding errors: $-\log D(x)$ is `softplus(-s)`, and $-\log(1 - D(x))$ is `softplus(s)`.

# %%
import inspect
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageDraw
from torch import nn
from torch.nn.functional import interpolate, leaky_relu, softplus

angles = torch.arange(8) * math.pi / 4
centers = 2 * torch.stack([angles.cos(), angles.sin()], 1)  # [8, 2]


def ring(count, spread=0.08):
    """Real points."""
    return centers[torch.randint(8, (count,))] + spread * torch.randn(count, 2)


def network(inputs, outputs, width=64):
    """A network with two hidden layers, for both players."""
    layers = [nn.Linear(inputs, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def discriminator_loss(real, generated):
    """Minus the value of the game, from the scores of real and generated points."""
    return softplus(-real).mean() + softplus(generated).mean()


# %% [markdown]
# ### The best discriminator is known
#
# Hold the generator fixed. If $p$ is the density of real points and $q$ that of generated ones, the best discriminator is
#
# $$D^*(x) = \frac{p(x)}{p(x) + q(x)}$$
#
# Check it. Take wide groups for $p$ and one wide Gaussian for $q$, so that we can compute both. Train a discriminator, and
# compare.

# %%
SPREAD, WIDTH = 0.5, 1.5
axis = torch.linspace(-3.5, 3.5, 60)
places = torch.cartesian_prod(axis, axis)  # [3600, 2]


def density(centers, spread):
    """The density of Gaussians around some centers, at each place."""
    exponents = -(torch.cdist(places, centers) ** 2) / (2 * spread**2)
    return exponents.exp().mean(1) / (2 * math.pi * spread**2)


p, q = density(centers, SPREAD), density(torch.zeros(1, 2), WIDTH)
best = p / (p + q)

torch.manual_seed(0)
discriminator, steps = network(2, 1), 1000
optimizer = torch.optim.Adam(discriminator.parameters())
for step in range(steps):
    optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
    loss = discriminator_loss(discriminator(ring(512, SPREAD)), discriminator(WIDTH * torch.randn(512, 2)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
learned = discriminator(places).detach().sigmoid().squeeze(1)

figure, axes = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
for picture, values, title in zip(axes, (best, learned), ("p / (p + q)", "learned")):
    picture.imshow(values.view(60, 60).T, extent=(-3.5, 3.5) * 2, origin="lower", cmap="PRGn", vmin=0, vmax=1)
    picture.set(title=title, xticks=[], yticks=[])
figure.colorbar(axes[0].images[0], ax=axes, label="D(x)")
plt.show()

# %%
weight = (p + q) / (p + q).sum()
error = ((learned - best).abs() * weight).sum().item()
print(f"mean error where there are points: {error:.3f}")
assert error < 0.05

# %% [markdown]
# So at its best the discriminator measures $p/q$, the ratio of two densities that nobody wrote down. It learns it from
# samples alone.
#
# ### Why the generator does not play minimax
#
# The generator could minimize $\log(1 - D(G(z)))$, its part of the game: the **minimax** loss. Early in training the
# discriminator is sure, so let us make it sure and measure the generator's gradient. The **non-saturating** loss
# $-\log D(G(z))$ wants the same, but it pulls hardest where minimax has nothing left:

# %%
torch.manual_seed(0)
generator, discriminator = network(4, 2), network(2, 1)
optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
for _ in range(200):  # only the discriminator learns
    loss = discriminator_loss(discriminator(ring(128)), discriminator(generator(torch.randn(128, 4)).detach()))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

generator_losses = {"minimax": lambda s: -softplus(s).mean(), "non-saturating": lambda s: softplus(-s).mean()}
noise, norms = torch.randn(512, 4), {}
for name, generator_loss in generator_losses.items():
    gradients = torch.autograd.grad(generator_loss(discriminator(generator(noise))), list(generator.parameters()))
    norms[name] = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
print("D at the generated points:", discriminator(generator(noise)).sigmoid().mean().item())
print("norm of the generator's gradient:", norms)
assert norms["minimax"] < 0.001 < 1 < norms["non-saturating"]

# %% [markdown]
# ### Both players: equilibrium, and mode collapse
#
# Now both learn, in turn. If the generator wins, $q = p$: the discriminator can do no better than $D = 1/2$, and its loss is
# $2 \log 2 \approx 1.386$.
#
# But the players can also chase each other. The generator moves all its points to a place that the discriminator takes for
# real; the discriminator learns that this place is fake; the generator moves on. Some of the eight groups, the **modes**,
# are then never painted: **mode collapse**. Momentum causes it here, because both players overshoot.
#
# And without a brake, the discriminator makes its score ever steeper around the real points. A **gradient penalty** is such
# a brake. R1 (Mescheder et al. 2018) punishes the slope of the score at real points:
#
# $$L_{R1} = \frac{\gamma}{2} \, \mathbb E_x\left[\|\nabla_x s(x)\|^2\right]$$
#
# Three games from the same weights, for the same number of steps:


# %%
def play(momentum, penalty, steps=800, rate=2e-3):
    """Train both players. Return them, and the discriminator's losses."""
    torch.manual_seed(0)
    generator, discriminator = network(4, 2), network(2, 1)
    g, d = (torch.optim.Adam(n.parameters(), rate, betas=(momentum, 0.99)) for n in (generator, discriminator))
    losses = []
    for _ in range(steps):
        real, generated = ring(128).requires_grad_(), generator(torch.randn(128, 4))
        score = discriminator(real)
        loss = discriminator_loss(score, discriminator(generated.detach()))
        losses.append(loss.item())
        if penalty:
            (slope,) = torch.autograd.grad(score.sum(), real, create_graph=True)
            loss = loss + penalty / 2 * slope.square().sum(1).mean()
        d.zero_grad()
        loss.backward()
        d.step()
        loss = softplus(-discriminator(generated)).mean()
        g.zero_grad()
        loss.backward()
        g.step()
    return generator, discriminator, losses


games = {"momentum 0.95": play(0.95, 0.0), "no momentum": play(0.0, 0.0), "no momentum, R1": play(0.0, 0.1)}


# %%
def examine(generator, discriminator, losses):
    """What the game came to."""
    points, real = generator(torch.randn(1000, 4)).detach(), ring(1000).requires_grad_()
    distance, mode = torch.cdist(points, centers).min(1)
    counts = torch.bincount(mode[distance < 0.4], minlength=8)
    (slope,) = torch.autograd.grad(discriminator(real).sum(), real)
    return {
        "modes covered": int((counts > 25).sum()),  # an even split would give each 125
        "D at generated points": discriminator(points).sigmoid().mean().item(),
        "loss of D": sum(losses[-100:]) / 100,
        "slope at real points": slope.norm(dim=1).mean().item(),
    }


results = {name: examine(*game) for name, game in games.items()}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained")
for picture, (name, (generator, discriminator, _)) in zip(axes, games.items()):
    field = discriminator(places).detach().sigmoid().view(60, 60).T
    picture.imshow(field, extent=(-3.5, 3.5) * 2, origin="lower", cmap="PRGn", vmin=0, vmax=1, alpha=0.6)
    picture.plot(*ring(300).T, ".", color="#1b7f5c", markersize=3, label="real")
    picture.plot(*generator(torch.randn(300, 4)).detach().T, ".", color="#8a3ffc", markersize=3, label="generated")
    picture.set(title=f"{name}: {results[name]['modes covered']} of 8", xticks=[], yticks=[])
    picture.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5))
axes[0].legend(loc="upper right")
plt.show()
pd.DataFrame(results).round(3)

# %%
collapsed, steep, healthy = results.values()
assert collapsed["modes covered"] < 6
assert steep["modes covered"] == healthy["modes covered"] == 8
assert steep["slope at real points"] > 2 * healthy["slope at real points"]
assert abs(healthy["D at generated points"] - 0.5) < min(0.1, abs(steep["D at generated points"] - 0.5))
assert abs(healthy["loss of D"] - 2 * math.log(2)) < min(0.2, abs(steep["loss of D"] - 2 * math.log(2)))

# %% [markdown]
# Momentum decides about the modes, and the penalty about the slope: with R1 it is less than half as steep, and
# discriminator and loss are closer to their equilibrium, $1/2$ and $2 \log 2$.
#
# ### Play with it
#
# The same game, while it runs. Press *play*. Green is what the discriminator takes for real, purple what it takes for
# generated; the arrows show where the generator's loss pulls its points. Then try these:
#
# - Choose the situation *mode collapse*. When the points jump from group to group, choose *healthy*: do they recover?
# - In *no pull* the discriminator is sure, and the loss is minimax. Where are the arrows? Set the loss to
#   *non-saturating*.
# - Raise the gradient penalty, and watch the field.

# %%
limner.toy(steps=400)

# %% [markdown]
# ## From a sentence to an image
#
# The same game, with two changes. The point becomes an image of 16 x 16 pixels. And both players get a sentence: the
# generator paints it, and the discriminator judges whether the image fits it, as in the diagram above.
#
# The data: three colors, three shapes, and a sentence of three words for each image.

# %%
COLORS = {"red": (225, 45, 45), "green": (40, 180, 70), "blue": (50, 80, 235)}
SHAPES = ("circle", "square", "triangle")
WORDS = ["a", *COLORS, *SHAPES]
prompts = [f"a {color} {shape}" for color in COLORS for shape in SHAPES]


def draw(prompt, random):
    """An image of 16 x 16 pixels, drawn four times as large."""
    _, color, shape = prompt.split()
    image = Image.new("RGB", (64, 64), "white")
    r = random.uniform(17, 22)
    x, y = random.uniform(r + 2, 62 - r, 2)
    corners = [(x, y - r), (x + r, y + 0.8 * r), (x - r, y + 0.8 * r)]
    box = (
        [x - r, y - r, x + r, y + r] if shape == "circle" else [x - 0.86 * r, y - 0.86 * r, x + 0.86 * r, y + 0.86 * r]
    )
    paint = ImageDraw.Draw(image)
    {"circle": paint.ellipse, "square": paint.rectangle, "triangle": paint.polygon}[shape](
        corners if shape == "triangle" else box, fill=COLORS[color]
    )
    return np.asarray(image.resize((16, 16), Image.Resampling.BOX))


def tokens_of(sentences):
    """The numbers of the words: [B, 3]."""
    return torch.tensor([[WORDS.index(word) for word in sentence.split()] for sentence in sentences])


random = np.random.default_rng(0)
pixels = np.stack([draw(prompt, random) for prompt in prompts * 200])
images = torch.tensor(pixels).permute(0, 3, 1, 2) / 127.5 - 1  # [1800, 3, 16, 16], values in [-1, 1]
tokens = tokens_of(prompts * 200)  # [1800, 3]
limner.Pictures.of(images[:9], prompts)

# %% [markdown]
# ### The sixty lines
#
# **The text encoder** turns each word into a vector, reads the vectors one after the other with an LSTM (Hochreiter and
# Schmidhuber 1997), and keeps the last hidden state: the sentence.


# %%
class TextEncoder(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.words = nn.Embedding(len(WORDS), width)
        self.lstm = nn.LSTM(width, width, batch_first=True)

    def forward(self, tokens):
        _, (last, _) = self.lstm(self.words(tokens))  # tokens [B, 3], words [B, 3, 32]
        return last[0]  # [B, 32]


# %% [markdown]
# **The residual block** adds what it computes to what it gets (He et al. 2016). The shortcut is a convolution of 1 x 1
# because the number of channels may change.


# %%
class Residual(nn.Module):
    def __init__(self, channels, following):
        super().__init__()
        self.first = nn.Conv2d(channels, following, 3, padding=1)
        self.second = nn.Conv2d(following, following, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, following, 1)

    def forward(self, x):
        return self.shortcut(x) + self.second(leaky_relu(self.first(leaky_relu(x, 0.2)), 0.2))


# %% [markdown]
# **The generator** joins noise and sentence. A dense layer makes a map of 4 x 4 positions; it is enlarged twice.


# %%
class Generator(nn.Module):
    def __init__(self, noise=8, text=32, channels=48):
        super().__init__()
        self.dense = nn.Linear(noise + text, 16 * channels)
        self.levels = nn.ModuleList([Residual(channels, channels), Residual(channels, channels // 2)])
        self.pixels = nn.Conv2d(channels // 2, 3, 3, padding=1)

    def forward(self, noise, sentence):
        x = self.dense(torch.cat([noise, sentence], 1)).unflatten(1, (-1, 4, 4))  # [B, 48, 4, 4]
        for level in self.levels:
            x = level(interpolate(x, scale_factor=2))  # [B, 48, 8, 8], then [B, 24, 16, 16]
        return self.pixels(leaky_relu(x, 0.2))  # [B, 3, 16, 16]


# %% [markdown]
# **The discriminator** looks at the image first: each convolution halves it. Then the sentence joins, at every position of
# the map. (Joining it with raw pixels works worse: there, nothing is known yet that a word could be compared with.)


# %%
class Discriminator(nn.Module):
    def __init__(self, text=32, channels=64):
        super().__init__()
        self.halve = nn.Conv2d(3, channels // 2, 4, stride=2, padding=1)
        self.again = nn.Conv2d(channels // 2, channels, 4, stride=2, padding=1)
        self.join = nn.Conv2d(channels + text, channels, 1)
        self.score = nn.Linear(16 * channels, 1)

    def forward(self, image, sentence):
        x = leaky_relu(self.again(leaky_relu(self.halve(image), 0.2)), 0.2)  # [B, 64, 4, 4]
        sentence = sentence[:, :, None, None].expand(-1, -1, 4, 4)  # [B, 32, 4, 4]
        x = leaky_relu(self.join(torch.cat([x, sentence], 1)), 0.2)
        return self.score(x.flatten(1))  # [B, 1]


# %% [markdown]
# **The loop.** Each player has a text encoder of its own. The discriminator sees three kinds of pairs: real images with
# their sentences, generated images with theirs, and real images with *wrong* sentences (Reed et al. 2016). The last kind
# makes it read. R1 keeps it smooth.


# %%
def train(generator, discriminator, writer, reader, steps, rate=2e-3, gamma=1.0):
    players = [[generator, writer], [discriminator, reader]]
    weights = [[w for part in parts for w in part.parameters()] for parts in players]
    g, d = (torch.optim.Adam(own, rate, betas=(0.0, 0.99)) for own in weights)
    for step in range(steps):
        g.param_groups[0]["lr"] = d.param_groups[0]["lr"] = rate * min(1, 3 - 3 * step / steps)
        rows, other = torch.randint(len(images), (2, 32))
        real, text, wrong = images[rows].requires_grad_(), tokens[rows], tokens[other]
        is_wrong = (text != wrong).any(1, keepdim=True)  # by chance, the other sentence may be the same
        generated = generator(torch.randn(32, 8), writer(text))
        score = discriminator(real, reader(text))
        fake, mismatched = discriminator(generated.detach(), reader(text)), discriminator(real, reader(wrong))
        (slope,) = torch.autograd.grad(score.sum(), real, create_graph=True)
        loss = softplus(-score).mean() + (softplus(fake) + is_wrong * softplus(mismatched)).mean() / 2
        d.zero_grad()
        (loss + gamma / 2 * slope.square().sum((1, 2, 3)).mean()).backward()
        d.step()
        loss = softplus(-discriminator(generated, reader(text))).mean()
        g.zero_grad()
        loss.backward()
        g.step()


# %%
def lines_of(part):
    """How many lines a function, or a class with its methods, has; blank ones do not count."""
    functions = (
        [value for value in vars(part).values() if inspect.isfunction(value)] if isinstance(part, type) else [part]
    )
    sources = [inspect.getsource(function) for function in functions]
    return isinstance(part, type) + sum(bool(line.strip()) for source in sources for line in source.splitlines())


parts = [TextEncoder, Residual, Generator, Discriminator, train]
lines = {part.__name__: lines_of(part) for part in parts}
print(lines, "together:", sum(lines.values()))
assert sum(lines.values()) <= 60

# %% [markdown]
# ### Train and paint

# %%
torch.manual_seed(0)
generator, discriminator, writer, reader = Generator(), Discriminator(), TextEncoder(), TextEncoder()
train(generator, discriminator, writer, reader, steps=900)

# %%
with torch.no_grad():
    painted = generator(torch.randn(9 * 16, 8), writer(tokens_of(np.repeat(prompts, 16)))).clamp(-1, 1)
rows = painted.view(9, 16, 3, 16, 16)
limner.Pictures.of(rows[:, :8].flatten(0, 1), np.repeat(prompts, 8).tolist(), columns=8)

# %% [markdown]
# Are they right? Find the real image that is closest to each painted one, pixel by pixel, and see what it shows:

# %%
nearest = torch.cdist(painted.flatten(1), images.flatten(1)).argmin(1)  # [144]
shown, asked = tokens[nearest], tokens_of(np.repeat(prompts, 16))
right = {"color": (shown == asked)[:, 1].float().mean().item(), "shape": (shown == asked)[:, 2].float().mean().item()}
print(right, "by chance, each would be 0.33")
assert right["color"] > 0.95
assert right["shape"] > 0.65

# %% [markdown]
# Colors are learned first, because every pixel tells them. Outlines take longer, and in 900 steps they stay a little
# rough. [Lesson 0](00_quickstart.ipynb) trains three times as long, with better parts.
#
# ## Two parts, looked at closely
#
# ### What the shortcut of a residual block does
#
# Put sixteen convolutions in a row, and send a gradient back to the input. Without the shortcut, each layer changes the
# gradient's length by some factor, and sixteen factors in a row make it vanish. With the shortcut, part of it passes
# unchanged:

# %%
torch.manual_seed(0)
blocks = [Residual(16, 16) for _ in range(16)]
lengths = {"with shortcut": [], "without": []}
for name, values in lengths.items():
    x = first = torch.randn(8, 16, 8, 8, requires_grad=True)
    for block in blocks:
        inner = block.second(leaky_relu(block.first(leaky_relu(x, 0.2)), 0.2))
        x = x + inner if name == "with shortcut" else inner
        (slope,) = torch.autograd.grad(x.sum(), first, retain_graph=True)
        values.append(slope.norm().item())

figure, axis = plt.subplots(figsize=(5, 2.6), layout="constrained")
for name, values in lengths.items():
    axis.plot(range(1, 17), values, label=name)
axis.set(xlabel="blocks between input and output", ylabel="length of the gradient", yscale="log")
axis.legend()
plt.show()
assert lengths["with shortcut"][-1] > 1e6 * lengths["without"][-1]

# %% [markdown]
# ### Why attention divides by $\sqrt{d_k}$
#
# [Lesson 2](02_attention.ipynb) replaces the one sentence vector by *attention* to single words: a query $q$ is compared
# with a key $k$ of each word, and a softmax over the scores $q \cdot k$ says how much each word counts. The score is a sum
# of $d_k$ products. If the numbers in $q$ and $k$ have variance 1, it has variance $d_k$: with many dimensions, one score is
# far above the others, and the softmax takes this one word alone. Its gradient is then nearly zero, and nothing can be
# learned. Divided by $\sqrt{d_k}$, the scores have variance 1 whatever the dimension (Vaswani et al. 2017):

# %%
torch.manual_seed(0)
dimensions = [1, 4, 16, 64, 256, 1024]
entropy, gradient = {"divided": [], "not divided": []}, {"divided": [], "not divided": []}
for d in dimensions:
    queries, keys = torch.randn(500, 1, d), torch.randn(500, 8, d)
    products = (queries * keys).sum(2)  # [500, 8]: eight words
    for name, scores in (("divided", products / d**0.5), ("not divided", products)):
        shares = scores.softmax(1)
        entropy[name].append(torch.special.entr(shares).sum(1).mean().item())
        gradient[name].append((shares * (1 - shares)).sum(1).mean().item())  # of each share by its own score

figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
for axis, values, title in zip(axes, (entropy, gradient), ("entropy of the softmax", "gradient of the softmax")):
    for name in values:
        axis.plot(dimensions, values[name], "o-", label=name)
    axis.set(xscale="log", xlabel="d_k", title=title, ylim=(0, None))
axes[0].axhline(math.log(8), color="gray", linestyle=":", label="all words alike")
axes[0].set_ylim(0, 2.3)
axes[0].legend()
plt.show()
assert entropy["not divided"][-1] < 0.1 * entropy["divided"][-1]
assert gradient["not divided"][-1] < 0.2 * gradient["divided"][-1]

# %% [markdown]
# ## The same parts in Limner
#
# Everything above is a class or a function of the library. There, each part can be replaced by name in a recipe.

# %%
from limner.layers import ResidualBlock, TextHead
from limner_attention.multi_head import MultiHeadAttention
from limner_baseline.adversarial import Adversarial, Minimax, NonSaturating
from limner_baseline.discriminator import ConvolutionalDiscriminator
from limner_baseline.encoders import LSTMEncoder
from limner_baseline.generator import ConvolutionalGenerator
from limner_baseline.penalties import R1
from limner_scenes.dataset import Scenes

same = {
    "TextEncoder": (LSTMEncoder, "reads in both directions, keeps the words too, ignores padding"),
    "Residual": (ResidualBlock, "one convolution, and the shortcut dominates at first"),
    "Generator": (ConvolutionalGenerator, "the sentence acts at every level; attention can be added"),
    "Discriminator": (ConvolutionalDiscriminator, "looks first, then compares"),
    "self.join": (TextHead, "the sentence scales and shifts the channels"),
    "the generator's loss: minimax": (Minimax, "the same"),
    "the generator's loss: non-saturating": (NonSaturating, "the same; hinge and relativistic losses beside it"),
    "fake and mismatched pairs": (Adversarial.discriminator, "the same sum, for every adversarial loss"),
    "the slope of R1": (R1, "computed at every 16th step only"),
    "train": (limner.train, "averages weights, saves, resumes, shows pictures"),
    "draw": (Scenes, "two objects, more shapes and colors, and wordings"),
    "divided by the root of d": (MultiHeadAttention, "several heads, each with its own projections"),
}
rows = {
    name: {"in Limner": f"{part.__module__}.{part.__qualname__}", "what differs": what}
    for name, (part, what) in same.items()
}
pd.DataFrame.from_dict(rows, orient="index").style.set_properties(**{"text-align": "left"})

# %% [markdown]
# ## Exercises
#
# Fill in the `...` in a cell and run it: the cell tells you whether you are right.
#
# **1.** At some place the density of real points is 0.3, and that of generated points is 0.1. What does the best
# discriminator say there? And what does it say at a place where no real point ever is?

# %% tags=["exercise"]
there, nowhere = ..., ...

limner.exercises.check([there, nowhere], [0.75, 0.0], hint="D* = p / (p + q).")

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# $0.3 / (0.3 + 0.1) = 0.75$, and $0 / (0 + q) = 0$ however few generated points there are. So a generator that leaves the
# real points is always found out, while one that covers too *few* of them is not: it stays where $p > 0$.
#
# </details>

# %% [markdown]
# **2.** The discriminator gives a generated point the score $s = -5$. What is the slope of both of the generator's losses
# there, with respect to $s$?

# %% tags=["exercise"]
score = torch.tensor(-5.0, requires_grad=True)
slope_of_minimax = ...  # of log(1 - sigmoid(s))
slope_of_non_saturating = ...  # of -log sigmoid(s)

expected = [torch.autograd.grad(generator_loss(score), score)[0] for generator_loss in generator_losses.values()]
limner.exercises.check(
    [slope_of_minimax, slope_of_non_saturating],
    expected,
    hint="The derivative of softplus(s) is sigmoid(s). Give numbers, or let torch.autograd.grad find them.",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# $-\sigma(-5) = -0.0067$ and $\sigma(-5) - 1 = -0.9933$. Both want a higher score, and one of them hardly:
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
solved = [-score.sigmoid().item(), score.sigmoid().item() - 1]
assert all(abs(one - other.item()) < 1e-6 for one, other in zip(solved, expected))
solved

# %% [markdown]
# **3.** Write the penalty R1 as a function, without $\gamma$: half of the mean squared length of the score's gradient at
# the points.


# %% tags=["exercise"]
def r1(discriminator, points):
    """1/2 E ||grad s(x)||^2, a number."""
    points = points.clone().requires_grad_()
    ...  # the score of each point, its gradient, and the mean of its squared length
    return ...


plane = nn.Linear(2, 1)  # s(x) = 3 x_1 - 4 x_2: its gradient is (3, -4) everywhere
plane.load_state_dict({"weight": torch.tensor([[3.0, -4.0]]), "bias": torch.zeros(1)})
limner.exercises.check(
    r1(plane, ring(50)),
    12.5,
    hint="torch.autograd.grad(scores.sum(), points, create_graph=True) returns a tuple with one gradient, [50, 2].",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# The gradient $(3, -4)$ has the squared length 25, and half of it is 12.5. `create_graph=True` lets the optimizer
# differentiate the penalty once more:
#
# </details>


# %% tags=["solution"] jupyter={"source_hidden": true}
def solved_r1(discriminator, points):
    """1/2 E ||grad s(x)||^2, a number."""
    points = points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(points).sum(), points, create_graph=True)
    return slope.square().sum(1).mean() / 2


assert solved_r1(plane, ring(50)).item() == 12.5
solved_r1(plane, ring(50))

# %% [markdown]
# ## What you have seen
#
# - The best discriminator is $p / (p + q)$: it compares two densities that it knows only from samples.
# - The minimax loss leaves a generator without a gradient when it is far behind; the non-saturating loss does not.
# - With momentum, the players can chase each other past the modes. A gradient penalty flattens the score at real points
#   and brings the game closer to its equilibrium.
# - A sentence joins the game on both sides, and wrong sentences make the discriminator read.
#
# **Next**: [the adversarial game and its losses](01_adversarial_training.ipynb), with the parts of the library.
