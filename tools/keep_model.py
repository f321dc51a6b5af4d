"""Make a trained run into a model that comes along with a plugin: small, and without what only training needs.

    OMP_NUM_THREADS=1 limner train quickstart --set training.precision=float32 --out runs/quickstart --evaluate
    python tools/keep_model.py runs/quickstart plugins/limner_scenes/models/quickstart
    python tools/keep_model.py runs/scenes-128 plugins/limner_hierarchy/models/scenes-128 --without losses
    python tools/keep_model.py runs/first kept --without discriminator

The weights are rounded to half precision. Recipe, tokenizer, history and scores are kept. Without its losses, a model
paints, explains and is evaluated, and other trainings can start from it, but it does not caption or score images. The
losses cannot do without the discriminator, so they are left out with it.
"""

import shutil
import sys
from pathlib import Path

import torch
from limner.models.run_folder import (
    HISTORY_FILE,
    LEFT_OUT,
    RECIPE_FILE,
    TOKENIZER_FOLDER,
    WEIGHTS_FILE,
    save_tensors,
)
from safetensors.torch import load_file

KEPT = (RECIPE_FILE, HISTORY_FILE, "scores.json")
WITHOUT = {
    "losses": ("losses.",),
    "discriminator": ("losses.", "conditional_discriminator."),
}
"""What can be left out, with the prefixes of the weights that are left out then."""


def keep(run: Path, model: Path, without: str | None = None) -> None:
    """Copy what is kept of a run folder into that of a model."""
    shutil.rmtree(model, ignore_errors=True)
    model.mkdir(parents=True)
    for file in KEPT:
        if (run / file).is_file():  # a run that was not evaluated has no scores
            shutil.copyfile(run / file, model / file)
    shutil.copytree(run / TOKENIZER_FOLDER, model / TOKENIZER_FOLDER)
    weights = load_file(run / WEIGHTS_FILE)
    described = None
    if without:
        weights = {name: value for name, value in weights.items() if not name.startswith(WITHOUT[without])}
        described = {LEFT_OUT: "losses" if without == "losses" else "discriminator losses"}
    half = {name: value.half() if value.dtype == torch.float32 else value for name, value in weights.items()}
    save_tensors(half, model / WEIGHTS_FILE, described)
    size = sum(file.stat().st_size for file in model.rglob("*") if file.is_file())
    print(f"{model}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [run, model]:
            keep(Path(run), Path(model))
        case [run, model, "--without", part] if part in WITHOUT:
            keep(Path(run), Path(model), part)
        case _:
            sys.exit(__doc__)
