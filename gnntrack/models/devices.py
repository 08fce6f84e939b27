"""Where a network computes."""

from __future__ import annotations

import torch

from gnntrack.errors import InputError

__all__ = ["find_device"]


def find_device(name: str) -> str:
    """Return the device of this name; ``auto`` is the first of cuda, mps and cpu that is there.

    Raises
    ------
    InputError
        If this machine has no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device, found in there.items() if found)
    if not there.get(name, False):
        here = ", ".join(device for device, found in there.items() if found)
        msg = f"there is no device '{name}' here; there is: {here}"
        raise InputError(msg)
    return name
