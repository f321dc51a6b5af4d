"""Keys of recipes that have new names. The old ones keep working, and trigger a warning."""

import warnings
from collections.abc import Mapping
from typing import Any

RENAMED = {
    "training": {
        "average": "ema_decay",
        "generator_rate": "generator_lr",
        "discriminator_rate": "discriminator_lr",
        "take": "load_parts",
    }
}
"""Keys of older recipes, by table, with their new names."""


def rename_keys(table: Mapping[str, Any], renamed: Mapping[str, str], place: str) -> dict[str, Any]:
    """The table with old keys under their new names. Each old key triggers a warning that names the new one.

    If both are given, the new one counts.
    """
    for old in renamed.keys() & table.keys():
        warnings.warn(f"{place}.{old} is now called {place}.{renamed[old]}.", FutureWarning, stacklevel=2)
    new = {renamed[key]: value for key, value in table.items() if key in renamed}
    return new | {key: value for key, value in table.items() if key not in renamed}
