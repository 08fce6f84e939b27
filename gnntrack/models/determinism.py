"""Networks that give the same bytes in every run: the switches of torch for it, in one place."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gnntrack.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DETERMINISTIC", "configure_torch", "use_deterministic"]

DETERMINISTIC = "GNNTRACK_DETERMINISTIC"
"""Name of the variable of the environment; any value but an empty one switches determinism on, in workers too."""


@contextmanager
def use_deterministic() -> Iterator[None]:
    """Let networks compute in a way that gives the same bytes in every run, while the context lasts.

    Raises
    ------
    InputError
        If a network needs an operation that has no such way on its device.

    Examples
    --------
    >>> with use_deterministic():
    ...     os.environ[DETERMINISTIC]
    '1'
    """
    before = os.environ.get(DETERMINISTIC)
    threads = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    os.environ[DETERMINISTIC] = "1"
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        reason = str(error).partition(",")[0].partition(". ")[0]
        msg = f"{reason}; omit --deterministic, or give --device cpu"
        raise InputError(msg) from error
    finally:
        if before is None:
            del os.environ[DETERMINISTIC]
            _reset_torch(threads)


def configure_torch(device: str) -> None:
    """Let torch use operations on a device whose results do not differ from run to run, if that is switched on.

    On a GPU these are slower. On the CPU one thread is used, because sums depend on how many there are.
    """
    if not os.environ.get(DETERMINISTIC):
        return
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
    torch.use_deterministic_algorithms(mode=True)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    if device == "cpu":
        torch.set_num_threads(1)


def _reset_torch(threads: int | None) -> None:
    """Undo `configure_torch`; the next process would not need it, but tests and notebooks go on in this one."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.use_deterministic_algorithms(mode=False)
        torch.backends.cudnn.deterministic = False
        if threads is not None:
            torch.set_num_threads(threads)
