"""Make a trained run into a model that comes along with a plugin: small, and without what only training needs.

    limner train quickstart --out runs/quickstart --evaluate
    python tools/keep_model.py runs/quickstart plugins/limner_scenes/models/quickstart

The weights are rounded to half precision. Recipe, tokenizer, history and scores are kept.
"""

import shutil
import sys
from pathlib import Path

import torch
from limner.models.run_folder import HISTORY_FILE, RECIPE_FILE, TOKENIZER_FOLDER, WEIGHTS_FILE, save_tensors
from safetensors.torch import load_file

KEPT = (RECIPE_FILE, HISTORY_FILE, "scores.json")


def keep(run: Path, model: Path) -> None:
    """Copy what painting needs from a run folder into that of a model."""
    shutil.rmtree(model, ignore_errors=True)
    model.mkdir(parents=True)
    for file in KEPT:
        shutil.copyfile(run / file, model / file)
    shutil.copytree(run / TOKENIZER_FOLDER, model / TOKENIZER_FOLDER)
    weights = load_file(run / WEIGHTS_FILE)
    half = {name: value.half() if value.dtype == torch.float32 else value for name, value in weights.items()}
    save_tensors(half, model / WEIGHTS_FILE)
    size = sum(file.stat().st_size for file in model.rglob("*") if file.is_file())
    print(f"{model}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    keep(Path(sys.argv[1]), Path(sys.argv[2]))
