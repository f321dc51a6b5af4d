"""Adversarial losses, for both players. D is the discriminator's score, a logit."""

from abc import abstractmethod
from typing import Literal

import torch
from jaxtyping import Bool, Float
from limner import Judgement, LimnerError, Loss, Sizes, Step
from torch import Tensor
from torch.nn.functional import logsigmoid, relu, softplus

Scored = Float[Tensor, "B S"]


class Adversarial(Loss):
    """What the adversarial losses share: which pairs are scored, and how the terms are combined.

    `condition` says what is judged: "text", the image together with its caption, D(x, c); "none", the image alone,
    D(x); "both", the sum of the two losses. With `mismatched`, the discriminator also sees real images with wrong
    captions. These count as fake, half and half with the generated images (Reed et al. 2016); without them the
    discriminator can judge the image and ignore the text. Hard mismatches teach it to read closely: "nearest", the
    wrong caption of the batch whose sentence is most similar to the right one, and "swapped", the right caption with a
    word or two changed, if the data can make such captions.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        condition: Literal["text", "none", "both"] = "text",
        mismatched: bool | Literal["nearest", "swapped"] = True,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            condition: what is judged: "text", the image together with its caption; "none", the image alone; "both",
                the sum of the two losses.
            mismatched: whether real images with wrong captions count as fake: with true, any wrong caption of the
                batch; with "nearest", the one most similar to the right one; with "swapped", the right one with a word
                or two changed.
        """
        super().__init__(sizes)
        self.condition, self.mismatched = condition, mismatched
        self.reads_distractors = mismatched == "swapped"

    @abstractmethod
    def discriminate(self, real: Scored, fake: Scored) -> Scored:
        """The discriminator's loss for each pair of a real and a fake image, from its scores."""

    @abstractmethod
    def generate(self, real: Scored, generated: Scored) -> Scored:
        """The generator's loss for each pair of a real and a generated image, from their scores."""

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        losses = []
        if self.condition in ("text", "both"):
            loss = self.discriminate(step.real.match, step.generated.match).mean()
            if self.mismatched:
                wrong, rows = self.mismatch(step)
                mismatched = mean_of(self.discriminate(step.real.match, wrong.match), rows)
                loss = torch.where(rows.any(), (loss + mismatched) / 2, loss)
            losses.append(loss)
        if self.condition in ("none", "both"):
            losses.append(self.discriminate(realism(step.real), realism(step.generated)).mean())
        return sum(losses[1:], losses[0])

    def mismatch(self, step: Step) -> tuple[Judgement, Bool[Tensor, " B"]]:
        """Real images with wrong captions of the kind that `mismatched` names, and which images have one."""
        if self.mismatched == "swapped":
            return step.swapped, torch.ones_like(step.batch.has_mismatch)
        if self.mismatched == "nearest":
            return step.nearest_pairs
        return step.mismatched_pairs, step.batch.has_mismatch

    def generator(self, step: Step) -> Float[Tensor, ""]:
        losses = []
        if self.condition in ("text", "both"):
            losses.append(self.generate(step.real.match, step.generated.match).mean())
        if self.condition in ("none", "both"):
            losses.append(self.generate(realism(step.real), realism(step.generated)).mean())
        return sum(losses[1:], losses[0])


class Minimax(Adversarial):
    """The original GAN loss (Goodfellow et al. 2014, equation 1), with D(x) = sigmoid of the score:

        min_G max_D  E_x[log D(x)] + E_z[log(1 - D(G(z)))]

    Both players share one value function. When the discriminator is confident, log(1 - D) is flat, and the generator
    learns nothing.
    """

    def discriminate(self, real: Scored, fake: Scored) -> Scored:
        return -logsigmoid(real) - logsigmoid(-fake)

    def generate(self, real: Scored, generated: Scored) -> Scored:
        return logsigmoid(-generated)


class NonSaturating(Minimax):
    """The same discriminator; the generator maximizes log D instead (Goodfellow et al. 2014, section 3). Conditional:

    L_D = -E_{x,c}[log D(x, c)] - E_{z,c}[log(1 - D(G(z, c), c))]
    L_G = -E_{z,c}[log D(G(z, c), c)]
    """

    def generate(self, real: Scored, generated: Scored) -> Scored:
        return -logsigmoid(generated)


class Hinge(Adversarial):
    """The hinge loss (Lim and Ye 2017): for the discriminator, scores beyond the margin 1 give no gradient.

    L_D = E[max(0, 1 - D(x, c))] + E[max(0, 1 + D(G(z, c), c))],    L_G = -E[D(G(z, c), c)]
    """

    def discriminate(self, real: Scored, fake: Scored) -> Scored:
        return relu(1 - real) + relu(1 + fake)

    def generate(self, real: Scored, generated: Scored) -> Scored:
        return -generated


class Relativistic(Adversarial):
    """Compares pairs: is the real image more real than the generated one? (Jolicoeur-Martineau 2018; Huang et al. 2024,
    R3GAN)

    L_D = E[softplus(-(D(x, c) - D(G(z, c), c)))],    L_G = E[softplus(-(D(G(z, c), c) - D(x, c)))]
    """

    def discriminate(self, real: Scored, fake: Scored) -> Scored:
        return softplus(fake - real)

    def generate(self, real: Scored, generated: Scored) -> Scored:
        return softplus(real - generated)


def mean_of(values: Scored, rows: Bool[Tensor, " B"]) -> Float[Tensor, ""]:
    """The mean of some rows; 0 if there is none."""
    return (values.mean(1) * rows).sum() / rows.sum().clamp(min=1)


def realism(judgement: Judgement) -> Scored:
    """The score of the image alone."""
    if judgement.realism is None:
        raise LimnerError(
            "condition: this discriminator does not score images without their text; "
            "set discriminator.realism = true, or use condition = 'text'."
        )
    return judgement.realism
