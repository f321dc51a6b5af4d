"""On what a result was made: the machine and the versions, named so that another one can be told from it."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

import limner
from limner.plugins import PluginHost


def machine(device: torch.device) -> dict[str, Any]:
    """The processor, its cores, the threads that torch takes of them, and the device that trains."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def versions(plugins: PluginHost) -> dict[str, Any]:
    """Of Limner, Python, torch, and every healthy plugin's distribution."""
    healthy = {p.name: f"{p.distribution} {p.version}".strip() for p in plugins.plugins.values() if not p.problem}
    return {
        "limner": limner.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "plugins": healthy,
    }


def _processor() -> str:
    """The processor's name in words, where the system tells it."""
    told = Path("/proc/cpuinfo")
    if told.is_file():
        for line in told.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        return asked.stdout.strip() or platform.machine()
    return platform.processor() or platform.machine()
