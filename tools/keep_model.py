"""Make a trained run into a model that comes along with a plugin: small, and without what only training needs.

    limner train quickstart --out runs/quickstart --evaluate
    python tools/keep_model.py runs/quickstart plugins/limner_scenes/models/quickstart
    python tools/keep_model.py runs/first kept --painting-only

The weights are rounded to half precision. Recipe, tokenizer, history and scores are kept. With --painting-only, the
discriminator and the losses are left out: the model paints, explains and is evaluated, but it does not caption or score
images.
"""

import shutil
import sys
from pathlib import Path

import torch
from limner.models.run_folder import (
    HISTORY_FILE,
    PAINTING_ONLY,
    RECIPE_FILE,
    TOKENIZER_FOLDER,
    WEIGHTS_FILE,
    save_tensors,
)
from safetensors.torch import load_file

KEPT = (RECIPE_FILE, HISTORY_FILE, "scores.json")


def keep(run: Path, model: Path, painting_only: bool) -> None:
    """Copy what painting needs from a run folder into that of a model."""
    shutil.rmtree(model, ignore_errors=True)
    model.mkdir(parents=True)
    for file in KEPT:
        if (run / file).is_file():  # a run that was not evaluated has no scores
            shutil.copyfile(run / file, model / file)
    shutil.copytree(run / TOKENIZER_FOLDER, model / TOKENIZER_FOLDER)
    weights = load_file(run / WEIGHTS_FILE)
    if painting_only:
        weights = {name: value for name, value in weights.items() if name.startswith("conditional_generator.")}
    half = {name: value.half() if value.dtype == torch.float32 else value for name, value in weights.items()}
    save_tensors(half, model / WEIGHTS_FILE, PAINTING_ONLY if painting_only else None)
    size = sum(file.stat().st_size for file in model.rglob("*") if file.is_file())
    print(f"{model}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    folders = [word for word in sys.argv[1:] if word != "--painting-only"]
    if len(folders) != 2:
        sys.exit(__doc__)
    keep(Path(folders[0]), Path(folders[1]), "--painting-only" in sys.argv)
