"""Arrays in files of pickled Python objects, such as cellpose's ``_seg.npy``, read without executing anything.

A pickle can call any function of any installed package. This reader allows only the few calls that numpy arrays and
plain values need, and it replaces these by functions of its own. Types and sizes of arrays are checked; no object of
numpy or of another package is made from the instructions in the file.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.lib import format as npy_format

from gnntrack.errors import FrameError
from gnntrack.io.stack import UNREADABLE

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = ["is_pickled", "read_pickled"]

_NUMBERS = re.compile(r"[<>=|]?(?:b1|[iuf][1248]|f16|c8|c16|c32|[SU]\d+|O8?|[?bBhHiIlLqQefdFD])")
_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")


class _RefusalError(pickle.UnpicklingError):
    """A call or an object that is not allowed; `pickle` raises its own errors for damaged files."""


def is_pickled(path: Path) -> bool:
    """Return whether a ``.npy`` file holds pickled objects; files that cannot be read return False."""
    try:
        with path.open("rb") as file:
            return _read_header(file)[1].hasobject
    except UNREADABLE:  # of a damaged head, numpy passes on the errors of Python's tokenizer
        return False


def read_pickled(path: Path) -> Any:
    """Return the object in a ``.npy`` file: a dict, list or array of numbers and text.

    Parameters
    ----------
    path : Path
        A file written by ``numpy.save`` of a dict or of a list of arrays.

    Returns
    -------
    object
        Containers of plain values and arrays. Paths are returned as text.

    Raises
    ------
    FrameError
        If the file is damaged, or holds an object of any other class, which could execute code.
    """
    try:
        with path.open("rb") as file:
            shape, _ = _read_header(file)
            found = _resolve(_ArrayUnpickler(file).load())
    except _RefusalError as error:
        raise FrameError(_describe_refusal(path, error), file=path) from error
    except OSError:
        raise
    except Exception as error:
        msg = f"its pickled objects cannot be read ({error}); check that the file is complete, or save it again"
        raise FrameError(msg, file=path) from error
    return found.item() if isinstance(found, np.ndarray) and found.dtype == object and shape == () else found


def _read_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy_format.read_magic(file)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, _, dtype = read(file)
    return tuple(shape), dtype


def _describe_refusal(path: Path, error: BaseException) -> str:
    name = path.stem.removesuffix("_seg") + "_masks.npy"
    return (
        f"{error}, which could execute code, so it is not read; if you trust it, save its masks as plain numbers: "
        f"import numpy as np; np.save({name!r}, np.load({path.name!r}, allow_pickle=True).item()['masks'])"
    )


class _Function:
    """A function that a pickle may call; its attributes cannot be changed by the pickle."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, _state: Any) -> None:
        msg = "the file changes a function"
        raise _RefusalError(msg)


class _Type:
    """The type of an array, from its code and byte order."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any) -> None:
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            msg = f"the file holds an array of type {code!r}"
            raise _RefusalError(msg)
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # (version, byte order, subarray, names, fields, ...); sizes and flags follow from the code and are not used
        if len(state) < 5 or any(part is not None for part in state[2:5]):
            msg = "the file holds an array of records"
            raise _RefusalError(msg)
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array that the pickle fills."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Any = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, content = state
        self.value = _make_array(content, kind, shape, fortran=bool(fortran))


def _make_array(content: Any, kind: Any, shape: Any, *, fortran: bool) -> Any:
    """Return an array of numbers, or for objects a list of the cells in the order of the file."""
    if not isinstance(kind, _Type) or not isinstance(shape, tuple):
        msg = "the file holds an array of an unknown type"
        raise _RefusalError(msg)
    order: Literal["F", "C"] = "F" if fortran else "C"
    if kind.dtype.hasobject:
        if not isinstance(content, list):
            msg = "the file holds an array whose cells are not objects"
            raise _RefusalError(msg)
        return _fill_objects(content).reshape(shape, order=order)
    return np.frombuffer(content, kind.dtype).reshape(shape, order=order)


def _make_scalar(kind: Any, content: Any = b"") -> Any:
    return _make_array(content, kind, (), fortran=False)[()]


def _make_from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> Any:
    made = _Array()
    made.value = _make_array(content, kind, shape, fortran=order == "F")
    return made


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        msg = "the file holds text of an unknown encoding"
        raise _RefusalError(msg)
    return text.encode("latin1")


def _make_bytes(*arguments: Any) -> bytes:
    if arguments:
        msg = "the file holds bytes of an unknown form"
        raise _RefusalError(msg)
    return b""


def _make_dict(items: Any = ()) -> dict[Any, Any]:
    return dict(items)


def _join_path(*parts: Any) -> str:
    return "/".join(map(str, parts))


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): lambda *_: _Array(),
    ("numpy", "dtype"): lambda code, *_: _Type(code),
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _make_dict,
    ("builtins", "bytes"): _make_bytes,
    ("__builtin__", "bytes"): _make_bytes,
    **{(module, name): _join_path for module in ("pathlib", "pathlib._local") for name in _PATHS},
}
for _module in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_module}.multiarray", "_reconstruct"] = lambda *_: _Array()
    _ALLOWED[f"{_module}.multiarray", "scalar"] = _make_scalar
    _ALLOWED[f"{_module}.numeric", "_frombuffer"] = _make_from_buffer


class _ArrayUnpickler(pickle.Unpickler):
    """Reads plain values and arrays, and refuses everything else."""

    def find_class(self, module: str, name: str, /) -> Any:
        """Return the function in place of a global name of the pickle."""
        found = _ALLOWED.get((module, name))
        if found is None:
            msg = f"it holds a Python object of {module}.{name}"
            raise _RefusalError(msg)
        return _Function(found)

    def persistent_load(self, _pid: Any) -> Any:
        """Refuse references to objects outside the file."""
        msg = "it refers to an object outside the file"
        raise _RefusalError(msg)


def _resolve(found: Any) -> Any:
    """Return containers with arrays in place of `_Array`; a container that holds itself is refused by Python."""
    if isinstance(found, _Array):
        return _resolve_array(found.value)
    if isinstance(found, dict):
        return {key: _resolve(value) for key, value in found.items() if isinstance(key, str | int)}
    if isinstance(found, list | tuple):
        return [_resolve(value) for value in found]
    return found


def _resolve_array(value: Image) -> Any:
    if not value.dtype.hasobject:
        return value
    return _fill_objects([_resolve(cell) for cell in value.ravel()]).reshape(value.shape)


def _fill_objects(content: list[Any]) -> Image:
    cells = np.empty(len(content), object)
    for number, cell in enumerate(content):  # an assignment of all at once would look into cells that are lists
        cells[number] = cell
    return cells
