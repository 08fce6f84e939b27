"""Devices that networks run on."""

from __future__ import annotations

import torch

from gnntrack.errors import InputError
from gnntrack.models.determinism import configure_torch

__all__ = ["find_device"]


def find_device(name: str) -> str:
    """Return the device of this name; ``auto`` is the first available of cuda, mps and cpu.

    If determinism is switched on (`gnntrack.models.determinism`), torch is set up for it.

    Raises
    ------
    InputError
        If this machine does not have the device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    device = next(device for device, found in there.items() if found) if name == "auto" else name
    if not there.get(device, False):
        here = ", ".join(device for device, found in there.items() if found)
        msg = f"this machine does not have the device '{name}'; it has: {here}"
        raise InputError(msg)
    configure_torch(device)
    return device
