"""Weights that were saved when a part of a network had another name."""

from functools import partial
from typing import Any

from torch import nn


def rename_weights(module: nn.Module, old: str, new: str) -> None:
    """Lets `module` load weights that were saved when its part `new` was still called `old`.

    Both names are relative to the module, such as "to_head" and "head.project"; they name a submodule or a parameter.
    """
    module.register_load_state_dict_pre_hook(partial(_rename, old, new))


def _rename(old: str, new: str, module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    for key in [key for key in state if key == prefix + old or key.startswith(f"{prefix}{old}.")]:
        state[prefix + new + key.removeprefix(prefix + old)] = state.pop(key)
