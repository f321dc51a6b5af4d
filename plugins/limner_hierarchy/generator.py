"""The staged generator: any number of stages, each built on the one before, with an image from each of them."""

from typing import Annotated

import torch
from jaxtyping import Float
from limner import Canvas, Generator, LimnerError, Sizes, Slot, Stage, TextFeatures
from pydantic import Field
from torch import Tensor, nn


class StagedGenerator(Generator):
    """Low resolution first, then higher (Zhang et al. 2017, StackGAN; 2018, StackGAN++; Xu et al. 2018, AttnGAN).

        (h_1, x_1) = Stage_1(z, c),    (h_i, x_i) = Stage_i(h_{i-1}, x_{i-1}, z, c)

    z is the noise, c the text (every stage reads both again), h_i the hidden map behind the image x_i. All images are
    returned; x_n is the model's. There are three ways to train it, each of them a line in the recipe:

        all stages at once (StackGAN++, AttnGAN)                            the default
        growing: one stage first, others join later (Karras et al. 2018)    grow = [0.5]
        one after the other, earlier stages frozen (StackGAN)               grow = [0.5] and freeze = true
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        stages: Slot[Stage],
        noise: Annotated[int, Field(ge=1)] = 32,
        grow: list[Annotated[float, Field(gt=0, lt=1)]] = [],  # noqa: B006
        freeze: bool = False,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            stages: the stages, lowest resolution first, each with its options.
            noise: Z, the width of the noise.
            grow: when the second stage, the third, ... joins, as a fraction of the training budget; empty for all
                stages from the start.
            freeze: whether the earlier stages and the encoder are frozen when another stage joins.

        Raises:
            LimnerError: if the stages do not end at the image size, or `grow` or `freeze` does not fit them.
        """
        super().__init__(sizes)
        self.stages = nn.ModuleList(stages.stack(sizes.knowing(noise=noise)))
        self.noise_width, self.grow, self.freeze = noise, grow, freeze
        self.sizes_of_stages = tuple(stage.size for stage in self.children_in_order())
        if not self.sizes_of_stages or self.sizes_of_stages[-1] != sizes.image:
            reached = " -> ".join(map(str, self.sizes_of_stages)) or "nothing"
            raise LimnerError(
                f"stages: they paint {reached}, and the recipe's image_size is {sizes.image}; "
                "add or remove a stage, or change the size of the first one."
            )
        if grow and (len(grow) != len(self.stages) - 1 or sorted(set(grow)) != grow):
            raise LimnerError(
                f"grow: expected {len(self.stages) - 1} rising fractions of the budget, one for each stage after the "
                f"first, got {grow}."
            )
        if freeze and not grow:
            raise LimnerError("freeze: all stages train from the start, so none is frozen; set grow as well.")
        self.grown = len(self.stages)

    def children_in_order(self) -> list[Stage]:
        """The stages, lowest resolution first."""
        return [stage for stage in self.stages if isinstance(stage, Stage)]

    @property
    def resolutions(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The resolutions of the stages that have joined so far."""
        return self.sizes_of_stages[: self.grown]

    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        canvases: list[Canvas] = []
        for stage in self.children_in_order()[: self.grown]:
            canvases.append(stage(canvases[-1] if canvases else None, noise, text))
        return [canvas.image for canvas in canvases]

    def grow_to(self, progress: float) -> None:
        """Adds the stages that are due; `progress` is the fraction of the budget that is used up, from 0 to 1."""
        if self.grow:
            self.grown = 1 + sum(progress >= time for time in self.grow)

    def get_extra_state(self) -> Tensor:
        """How many stages have joined; saved along with the weights."""
        return torch.tensor(self.grown)

    def set_extra_state(self, state: Tensor) -> None:
        """Restores how many stages have joined."""
        self.grown = int(state)
