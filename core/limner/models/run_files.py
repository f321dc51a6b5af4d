"""The names of the files and folders in a run folder."""

RECIPE_FILE, WEIGHTS_FILE, HISTORY_FILE, SCORES_FILE, TOKENIZER_FOLDER, ENCODER_FOLDER = (
    "recipe.toml",
    "weights.safetensors",
    "history.json",
    "scores.json",
    "tokenizer",
    "encoder",
)
