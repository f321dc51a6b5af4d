"""Where results come from: the machine and the versions that made them."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState

import limner
from limner.plugins import PluginHost
from limner.training.precision import fast_bfloat16


def machine() -> dict[str, Any]:
    """The processor, its instructions and cores, the number of threads that torch uses, and the device that trains.

    Processors of one name can differ in their instructions, and so in the precision of a training.
    """
    device = cast(torch.device, PartialState().device)
    return {
        "processor": _processor(),
        "instructions": _instructions(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def versions(plugins: PluginHost) -> dict[str, Any]:
    """The versions of Limner, Python, torch, and the distribution of every healthy plugin."""
    healthy = {p.name: f"{p.distribution} {p.version}".strip() for p in plugins.plugins.values() if not p.problem}
    return {
        "limner": limner.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "plugins": healthy,
    }


def _instructions() -> str:
    """What torch uses of the processor, such as "AVX512, bfloat16"."""
    names = [torch.backends.cpu.get_cpu_capability()]
    return ", ".join(names + ["bfloat16"] * fast_bfloat16(torch.device("cpu")))


def _processor() -> str:
    """The processor's name, or its architecture if the system does not tell the name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        return asked.stdout.strip() or platform.machine()
    return platform.processor() or platform.machine()
