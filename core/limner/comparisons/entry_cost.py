"""What an entry of a league costs to train and to use."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EntryCost:
    """What a recipe costs to train and to use.

    Attributes:
        generator: the weights of the generator.
        weights: those of all parts: encoder, generator, discriminator, and the losses' own modules.
        batch_size: real images per step.
        multiply_adds: of one training image: forward, backward, and its share of the update of the weights, on average
            over the training.
        step_seconds: of one step of training while nothing else runs, on average over the training.
        paint_seconds: to paint one image of one prompt, the median of eleven.
        memory: the most that a process has used that makes training steps, in bytes; None where the system does not
            tell.
    """

    generator: int
    weights: int
    batch_size: int
    multiply_adds: float
    step_seconds: float
    paint_seconds: float
    memory: int | None

    @property
    def images_per_second(self) -> float:
        """Real images that training reads."""
        return self.batch_size / self.step_seconds

    def total(self, steps: int | float) -> float:
        """The multiply-adds of a training of so many steps."""
        return self.multiply_adds * self.batch_size * steps

    def seconds(self, steps: int | float) -> float:
        """The seconds of a training of so many steps."""
        return self.step_seconds * steps
