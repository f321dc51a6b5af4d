"""A GAN in two dimensions that can be watched: what `limner.toy` trains, apart from how it is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import pi
from typing import Any, Literal, NamedTuple, get_args, get_type_hints

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from limner.errors import LimnerError

EDGE = 2.8
"""The plane that is shown reaches from -EDGE to EDGE in both directions."""
SPREAD = 0.08
"""Standard deviation of the real points around their curve or center."""
BATCH, WIDTH, NOISE = 128, 48, 4
"""Points per step, units in each of the two hidden layers, and numbers in z."""
EVEN = 0.25
"""A mode is covered if it has this part, or more, of the samples that an even split would give it."""


@dataclass(frozen=True)
class ToySettings:
    """Everything that may change while the two players train.

    Attributes:
        data: the distribution to learn.
        loss: of both players.
        optimizer: of both players: "adam" with the betas `momentum` and .99, or "sgd" with `momentum`.
        generator_rate, discriminator_rate: learning rates.
        momentum: how much of the earlier gradients an update keeps, below 1.
        penalty: weight of the gradient penalty: R1 at real points (Mescheder et al. 2018); with the loss "wasserstein",
            the one that holds the slope between real and generated points at 1 (Gulrajani et al. 2017).
        discriminator_steps: for each step of the generator.
    """

    data: Literal["ring", "grid", "moons", "line"] = "ring"
    loss: Literal["non-saturating", "minimax", "hinge", "wasserstein"] = "non-saturating"
    optimizer: Literal["adam", "sgd"] = "adam"
    generator_rate: float = 2e-3
    discriminator_rate: float = 2e-3
    momentum: float = 0.0
    penalty: float = 0.1
    discriminator_steps: int = 1


def settings_of(values: Mapping[str, Any]) -> ToySettings:
    """Settings from values by name; the others have their defaults.

    Raises:
        LimnerError: for an unknown name or choice, or a number that is out of range.
    """
    hints = get_type_hints(ToySettings)
    limits = {"momentum": (0, 0.999), "discriminator_steps": (1, 100)}
    for name, value in values.items():
        if name not in hints:
            raise LimnerError(f"{name}: limner.toy has no such setting; it has {', '.join(hints)}.")
        choices, (least, most) = get_args(hints[name]), limits.get(name, (0, 1000))
        if choices and value not in choices:
            raise LimnerError(f"{name}: there is no {value!r}; there is {', '.join(choices)}.")
        if not choices and not (isinstance(value, hints[name] | int) and least <= value <= most):
            raise LimnerError(f"{name}: expected a number from {least} to {most}, got {value!r}.")
    return ToySettings(**values)


class Curve(NamedTuple):
    """A distribution: points at t, uniform in [0, 1), blurred by `SPREAD`.

    `modes` parts of equal length are counted; a sample belongs to one if it is within `radius` of its center.
    """

    points: Callable[[Tensor], Tensor]
    modes: int
    radius: float

    def centers(self) -> Float[Tensor, "M 2"]:
        """The centers of the modes."""
        return self.points((torch.arange(self.modes) + 0.5) / self.modes)

    def sample(self, count: int, random: torch.Generator) -> Float[Tensor, "{count} 2"]:
        """Points of the distribution."""
        return self.points(torch.rand(count, generator=random)) + SPREAD * torch.randn(count, 2, generator=random)


def _ring(t: Tensor) -> Tensor:
    angles = (8 * t).floor() * pi / 4
    return 2 * torch.stack([angles.cos(), angles.sin()], -1)


def _grid(t: Tensor) -> Tensor:
    cell = (9 * t).floor()
    return 1.6 * torch.stack([cell % 3 - 1, (cell / 3).floor() - 1], -1)


def _moons(t: Tensor) -> Tensor:
    angle, upper = (2 * t % 1) * pi, t < 0.5
    x = torch.where(upper, angle.cos() - 0.5, 0.5 - angle.cos())
    return 1.5 * torch.stack([x, torch.where(upper, angle.sin() - 0.25, 0.25 - angle.sin())], -1)


def _line(t: Tensor) -> Tensor:
    return torch.stack([4 * t - 2, 2.4 * t - 1.2], -1)


CURVES = {
    "ring": Curve(_ring, 8, 0.4),
    "grid": Curve(_grid, 9, 0.4),
    "moons": Curve(_moons, 8, 0.6),
    "line": Curve(_line, 8, 0.4),
}


def losses_of(loss: str, real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    """The losses of the discriminator and of the generator, from the scores of real and of generated points."""
    if loss == "hinge":
        return relu(1 - real).mean() + relu(1 + generated).mean(), -generated.mean()
    if loss == "wasserstein":
        return generated.mean() - real.mean(), -generated.mean()
    of_discriminator = softplus(-real).mean() + softplus(generated).mean()
    return of_discriminator, -softplus(generated).mean() if loss == "minimax" else softplus(-generated).mean()


class ToyGame:
    """A generator and a discriminator of points in the plane, trained step by step.

        z ~ N(0, I),  x = G(z),  D(x) a score;  both are networks with two hidden layers

    `settings` may be replaced at any time and holds from the next step on. The same settings at the same steps give the
    same points.

    Attributes:
        steps: how many were made.
        history: the losses of the discriminator and of the generator at each step.
    """

    def __init__(self, settings: ToySettings | None = None, seed: int = 0):
        """`settings`: to begin with; `seed`: of the weights, the data and the noise."""
        self.settings, self.seed = settings or ToySettings(), seed
        self.reset()

    def reset(self) -> None:
        """Start again with new networks; the settings stay."""
        self.steps = 0
        self.history: list[tuple[float, float]] = []
        self.random = torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.generator, self.discriminator = _network(NOISE, 2), _network(2, 1)
        self.optimizer = ""
        self.noise = torch.randn(400, NOISE, generator=self.random)
        self.reals = torch.rand(400, generator=self.random), torch.randn(400, 2, generator=self.random)

    @property
    def curve(self) -> Curve:
        """The distribution to learn."""
        return CURVES[self.settings.data]

    def step(self, count: int = 1) -> None:
        """Make that many steps of both players."""
        self._set_optimizers()
        for _ in range(count):
            of_discriminator = self._discriminator_step()
            for _ in range(1, self.settings.discriminator_steps):
                of_discriminator = self._discriminator_step()
            generated = self.discriminator(self.generator(torch.randn(BATCH, NOISE, generator=self.random)))
            of_generator = losses_of(self.settings.loss, generated.detach(), generated)[1]
            _update(self.optimizers[0], of_generator)
            self.steps += 1
            self.history.append((of_discriminator, of_generator.item()))

    def _discriminator_step(self) -> float:
        """One step of the discriminator on fresh points. Returns its loss, without the penalty."""
        real = self.curve.sample(BATCH, self.random).requires_grad_()
        with torch.no_grad():
            generated = self.generator(torch.randn(BATCH, NOISE, generator=self.random))
        score = self.discriminator(real)
        loss, _ = losses_of(self.settings.loss, score, self.discriminator(generated))
        _update(self.optimizers[1], loss + self.settings.penalty * self._penalty(real, score, generated))
        return loss.item()

    def _penalty(self, real: Tensor, score: Tensor, generated: Tensor) -> Tensor | float:
        """The gradient penalty, without its weight."""
        if not self.settings.penalty:
            return 0.0
        if self.settings.loss == "wasserstein":
            part = torch.rand(BATCH, 1, generator=self.random)
            between = (part * real.detach() + (1 - part) * generated).requires_grad_()
            return (_slope(self.discriminator(between), between).norm(dim=1) - 1).square().mean()
        return _slope(score, real).square().sum(1).mean() / 2

    def _set_optimizers(self) -> None:
        """Give the optimizers their rates; make new ones if another kind or momentum is asked for."""
        now = self.settings
        if self.optimizer != f"{now.optimizer} {now.momentum}":
            self.optimizer = f"{now.optimizer} {now.momentum}"
            self.optimizers = [_optimizer(player, now) for player in (self.generator, self.discriminator)]
        for optimizer, rate in zip(self.optimizers, (now.generator_rate, now.discriminator_rate)):
            optimizer.param_groups[0]["lr"] = rate

    # --- what can be seen -------------------------------------------------------------------------------------------

    def real(self) -> Float[Tensor, "400 2"]:
        """Real points, the same ones at each call."""
        places, blur = self.reals
        return self.curve.points(places) + SPREAD * blur

    @torch.no_grad()
    def samples(self) -> Float[Tensor, "400 2"]:
        """Generated points; the noise is the same at each call."""
        return self.generator(self.noise)

    @torch.no_grad()
    def field(self, size: int = 40) -> Float[Tensor, "{size} {size}"]:
        """How real the discriminator takes each place for, from 0 to 1; rows are y, from -EDGE up, and columns x.

        It is the sigmoid of the score. The loss "wasserstein" knows no such level, so the score counts from its mean.
        """
        axis = torch.linspace(-EDGE, EDGE, size)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        scores = self.discriminator(torch.stack([x, y], -1).view(-1, 2)).view(size, size)
        return (scores - scores.mean() if self.settings.loss == "wasserstein" else scores).sigmoid()

    def pull(self) -> Float[Tensor, "400 2"]:
        """Where the generator's loss pulls each of the `samples`: minus its gradient at the point."""
        points = self.samples().requires_grad_()
        score = self.discriminator(points)
        return -_slope(len(points) * losses_of(self.settings.loss, score.detach(), score)[1], points).detach()

    def shares(self) -> Float[Tensor, " M"]:
        """The share of the samples that is close to each mode."""
        distance, mode = torch.cdist(self.samples(), self.curve.centers()).min(1)
        near = mode[distance < self.curve.radius]
        return torch.bincount(near, minlength=self.curve.modes) / len(distance)

    def covered(self) -> int:
        """How many modes have at least `EVEN` of the samples of an even split."""
        return int((self.shares() >= EVEN / self.curve.modes).sum())


def _network(inputs: int, outputs: int) -> nn.Sequential:
    layers = [nn.Linear(inputs, WIDTH), nn.LeakyReLU(0.2), nn.Linear(WIDTH, WIDTH), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(WIDTH, outputs))


def _optimizer(player: nn.Module, settings: ToySettings) -> torch.optim.Optimizer:
    """The optimizer of a player; its learning rate is set before each step."""
    if settings.optimizer == "adam":
        return torch.optim.Adam(player.parameters(), betas=(settings.momentum, 0.99))
    return torch.optim.SGD(player.parameters(), momentum=settings.momentum)


def _slope(scores: Tensor, points: Tensor) -> Tensor:
    """The gradient of each score at its point."""
    return torch.autograd.grad(scores.sum(), points, create_graph=True)[0]


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
