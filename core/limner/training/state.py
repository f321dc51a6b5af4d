"""The state of a training in one file: everything that it needs to continue as if it had never stopped.

The file holds tensors and JSON, and no code. It is only needed to resume: a model is loaded from the weights beside it.
"""

import json
import os
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather
from jaxtyping import UInt8
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from limner.errors import LimnerError
from limner.files import replacing, writing
from limner.models.pictures import Pictures
from limner.models.run_files import STATE_FILE
from limner.models.run_folder import save_tensors
from limner.recipes.build import own_modules

if TYPE_CHECKING:
    from limner.training.run import Run

# --- what belongs to it ---------------------------------------------------------------------------------------------


def state_of(run: "Run", random: Mapping[str, Tensor]) -> dict[str, Any]:
    """The state of a training after a step; `random`: the random states of all processes."""
    return {
        "step": run.step,
        "seconds": run.seconds,
        "images": run.images,
        "budget": run.budget,
        "saved": run.saved,
        "previewed": run.previewed,
        "snapshots": list(run.snapshots),
        "surroundings": run.surroundings,
        "networks": run.networks.state_dict(),
        "average": run.average.average.state_dict(),
        "numbers": [numbers_of(network) for network in (run.networks, run.average.average)],
        "players": {name: player.state_dict() for name, player in run.players.items()},
        "batches": run.batches.state_dict(),
        "noise": run.noise_source.get_state(),
        "random": random,
        "history": run.model.history,
        "recent": [dict(losses) for losses in run.recent],
        "prompts": run.prompts,
        "film": [(when, pixels_of(pictures)) for when, pictures in run.model.film],
    }


def restore(run: "Run", state: Mapping[str, Any]) -> None:
    """Bring a training that was just set up into a state.

    Raises:
        LimnerError: if the state does not fit its networks.
    """
    try:
        _restore_networks(run, state)
        for name, player in run.players.items():
            player.load_state_dict(state["players"][name])
        run.step, run.seconds, run.images = state["step"], state["seconds"], state["images"]
        if state["budget"] == run.budget:  # otherwise both are due now
            run.saved, run.previewed = state["saved"], state["previewed"]
        folder = run.folder / "snapshots" if run.folder else None
        run.snapshots = {part: folder and folder / str(part) for part in state["snapshots"]}
        run.model.history, run.recent = state["history"], state["recent"]
        if state["prompts"] == run.prompts:
            frames = ((when, [Image.fromarray(pixels.numpy()) for pixels in film]) for when, film in state["film"])
            run.model.film = [(when, Pictures(images, list(run.prompts))) for when, images in frames]
        run.batches.load_state_dict(state["batches"])
        run.noise_source.set_state(state["noise"])
        restore_random_states(run, state["random"])
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        place = run.folder / STATE_FILE if run.folder else "The state"
        cause = " ".join(str(error).split())
        raise LimnerError(f"{place} does not fit the recipe beside it, or is damaged: {cause}.") from None
    if differing := differences(state["surroundings"], run.surroundings):
        warnings.warn(
            f"This training began with {', '.join(differing)}: the weights may differ slightly from those of a "
            "training that was never stopped.",
            stacklevel=4,
        )


def _restore_networks(run: "Run", state: Mapping[str, Any]) -> None:
    """Weights, buffers, and the numbers that components keep as attributes."""
    names = ("networks", "average")
    for network, name, numbers in zip((run.networks, run.average.average), names, state["numbers"], strict=True):
        network.load_state_dict(state[name])
        for place, values in numbers.items():
            vars(network.get_submodule(place)).update(values)


def numbers_of(network: nn.Module) -> dict[str, dict[str, int | float]]:
    """The numbers that the modules of a network keep as attributes, such as a count of steps, by module and name."""
    found = {
        place: {name: value for name, value in vars(module).items() if type(value) in (bool, int, float)}
        for place, module in own_modules(network)
    }
    return {place: numbers for place, numbers in found.items() if numbers}


def pixels_of(pictures: Pictures) -> UInt8[Tensor, "N H W 3"]:
    """The images of pictures, as bytes."""
    return torch.from_numpy(np.stack([np.asarray(image) for image in pictures.images]))


def random_states(run: "Run") -> dict[str, UInt8[Tensor, "P _"]]:
    """The states of the generators that differ between processes: a row for each process."""
    device = run.batches.device
    states = {"batches": run.batches.own_random.get_state(), "torch": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    if PartialState().num_processes == 1:
        return {name: state[None] for name, state in states.items()}
    return {name: gather(state[None].to(device)).cpu() for name, state in states.items()}  # pyright: ignore


def restore_random_states(run: "Run", states: Mapping[str, Tensor]) -> None:
    """Restore what `random_states` returned, if there are as many processes as then, on the same kind of device."""
    device = run.batches.device
    kinds = {"cuda", "mps"}
    if kinds & states.keys() != kinds & {device.type} or len(states["torch"]) != PartialState().num_processes:
        return
    own = {name: rows[PartialState().process_index].clone() for name, rows in states.items()}  # torch reads its start
    run.batches.own_random.set_state(own["batches"])
    torch.set_rng_state(own["torch"])
    if "cuda" in own:
        torch.cuda.set_rng_state(own["cuda"], device)
    elif "mps" in own:
        torch.mps.set_rng_state(own["mps"])


def surroundings_of(run: "Run") -> dict[str, str]:
    """What else decides about the last bits of a result, in words."""
    plugins, device = run.model.plugins.plugins.values(), run.batches.device
    versions = {plugin.distribution: plugin.version for plugin in plugins if plugin.version and not plugin.problem}
    return versions | {
        "limner": version("limner"),
        "torch": torch.__version__,
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": str(torch.get_num_threads()),
        "processes": str(PartialState().num_processes),
        "precision": run.precision,
        "data of checksum": f"{run.batches.fingerprint:08x}",
    }


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two surroundings, such as ["threads 2 (now 1)"]."""
    return [
        f"{name} {before.get(name, 'unknown')} (now {now.get(name, 'none')})"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


# --- its file -------------------------------------------------------------------------------------------------------


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a state into a run folder. Until the new file is complete on the disk, the old one stays.

    A state with something that cannot be stored is not written, which a warning tells.

    Raises:
        LimnerError: if it cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    try:
        plain = json.dumps(pack(state, "", tensors))
    except TypeError as error:
        warnings.warn(f"This training cannot be resumed if it is stopped, because {error}.", stacklevel=2)
        return
    described = {"state": plain, "checksum": str(checksum(plain, tensors))}
    with replacing(folder / STATE_FILE) as partial:
        save_tensors(tensors, partial, described)
        _flush(partial)
    with writing(folder / STATE_FILE), suppress(PermissionError):  # Windows does not open folders
        _flush(folder)


def read_state(folder: Path) -> dict[str, Any]:
    """Read the state in a run folder.

    Raises:
        LimnerError: if there is none, or it is damaged.
    """
    file = folder / STATE_FILE
    if not file.exists():
        raise LimnerError(
            f"{folder} has no {STATE_FILE}, so it cannot be resumed; train a new run that begins with its weights, "
            f"with --set training.start_from={folder}."
        )
    try:
        content = file.read_bytes()  # in one go: `safe_open` opens it twice, and a training may replace it in between
        tensors, end = load(content), 8 + int.from_bytes(content[:8], "little")
        described = json.loads(content[8:end])["__metadata__"]
        plain = described["state"]
        if described["checksum"] != str(checksum(plain, tensors)):
            raise ValueError("its checksum is wrong")
        return unpack(json.loads(plain), tensors)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise LimnerError(f"{file} is damaged: {error}; nothing was changed.") from None


def checksum(plain: str, tensors: Mapping[str, Tensor]) -> int:
    """A checksum of all that a state file holds."""
    total = crc32(plain.encode())
    for _, tensor in sorted(tensors.items()):
        total = crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, total)
    return total


def pack(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """Values of a state as JSON. Its tensors are copied into `tensors`.

    Raises:
        TypeError: for anything but tensors, numbers, texts, and lists, tuples and tables of these.
    """
    if isinstance(value, Tensor):
        name = f"{len(tensors)}{place}"
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"table": [(key, pack(item, f"{place}/{key}", tensors)) for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [pack(item, f"{place}/{number}", tensors) for number, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{place} is of type {type(value).__name__}, and only tensors and plain values can be saved")


def unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The values that `pack` made JSON of."""
    if isinstance(value, list):
        return [unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    items: Iterator[Any] = (unpack(item, tensors) for item in content) if kind == "tuple" else iter(())
    return tuple(items) if kind == "tuple" else {key: unpack(item, tensors) for key, item in content}


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
