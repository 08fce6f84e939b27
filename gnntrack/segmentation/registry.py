"""Segmenters: what makes masks of images, found by entry point, so that any package can add one.

A segmenter is an object with ``segment(image) -> labels``. It registers a class (or any callable that
makes one) under the entry-point group ``gnntrack.segmenters``; its options are the keyword-only
arguments of that class. Nothing of a segmenter is imported before it is used: one that is broken, or
whose libraries are not installed, troubles nobody else.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import inspect
import json
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, runtime_checkable

import numpy as np
import tifffile

from gnntrack.errors import FrameError, GnntrackError, MissingDependencyError, OutputError, SegmenterError
from gnntrack.io.output import check_output, fresh_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gnntrack.types import FrameStack, Image, Progress

__all__ = [
    "GROUP",
    "Segmenter",
    "SegmenterInfo",
    "available_segmenters",
    "check_labels",
    "load_segmenter",
    "prepare_segmenter",
    "segment_frame",
    "segment_movie",
    "segmenter_class",
]

GROUP = "gnntrack.segmenters"
"""The entry-point group."""
_IDENTITY = "run.json"


@runtime_checkable
class Segmenter(Protocol):
    """What finds the cells in one frame."""

    def segment(self, image: Image, /) -> Image:
        """Return the labels of an image.

        A segmenter may have more: ``dimensions``, the numbers of axes of the images that it takes, ``prepare(images)``,
        see `prepare_segmenter`, and a classmethod ``train``, see `gnntrack.training.segmenter`.

        Parameters
        ----------
        image : (Y, X) or (Z, Y, X) array
            Grey values of one frame.

        Returns
        -------
        labels : integer array of the same shape
            0 = background, every other value one cell.
        """
        ...


@dataclass(frozen=True)
class SegmenterInfo:
    """What is known of a segmenter without importing it.

    Parameters
    ----------
    name : str
        The name to ask for.
    distribution : str
        The package that brings it; several where the name is taken more than once.
    description : str
        First line of the class's docstring, "" where its source cannot be found.
    needs : tuple of str
        What its file imports beyond Python itself, as far as its source tells, and the packages of its extras.
    missing : tuple of str
        Those of `needs` that are not installed.
    install : str
        The pip line that installs what it needs, "" where it has no extras.
    """

    name: str
    distribution: str
    description: str
    needs: tuple[str, ...]
    missing: tuple[str, ...]
    install: str = ""


def available_segmenters() -> dict[str, SegmenterInfo]:
    """Return all installed segmenters by name; none of them is imported.

    >>> available_segmenters()["threshold"].description
    "Threshold, watershed, and an outline at each cell's own height."
    """
    return {name: _describe(name, found) for name, found in sorted(_registered().items())}


def load_segmenter(name: str, /, **options: Any) -> Segmenter:
    """Return a segmenter by name.

    Parameters
    ----------
    name : str
        As listed by `available_segmenters`.
    **options
        Keyword arguments of its class.

    Raises
    ------
    SegmenterError
        If no segmenter has this name or several have, if it cannot be imported or is none, or if an
        option is unknown, missing, or refused.
    MissingDependencyError
        If a library that it needs is not installed.
    """
    factory = segmenter_class(name)
    _check_options(name, factory, options)
    segmenter = _make(name, factory, options)
    if isinstance(segmenter, type) or not isinstance(segmenter, Segmenter):
        entry = _registered()[name][0]
        _fail(
            f"segmenter '{name}' of {_distribution(entry)}: {entry.value} makes a {type(segmenter).__name__}, "
            f"which has no method segment(image); its author must register a class that has one"
        )
    return segmenter


def segmenter_class(name: str) -> Callable[..., Any]:
    """Return the class, or the callable, that is registered under a name.

    Raises
    ------
    SegmenterError
        If no segmenter has this name or several have, or if it cannot be imported.
    MissingDependencyError
        If a library that it needs is not installed.
    """
    registered = _registered()
    if name not in registered:
        near = difflib.get_close_matches(name, registered, 1)
        guess = f"did you mean '{near[0]}'? There are" if near else "there are"
        _fail(f"unknown segmenter '{name}'; {guess}: {', '.join(sorted(registered)) or 'none'}")
    found = registered[name]
    if len(found) > 1:
        owners = " and ".join(f"{_distribution(entry)} ({entry.value})" for entry in found)
        _fail(f"segmenter '{name}' is registered more than once, by {owners}; uninstall all but one")
    return _load(found[0])


def check_labels(labels: Any, image: Image, name: str, frame: int | None = None) -> Image:
    """Return what a segmenter made of an image if it is a label image.

    Parameters
    ----------
    labels : array
        What the segmenter returned.
    image : (Y, X) or (Z, Y, X) array
        What it was given.
    name : str
        Name of the segmenter, for the message.
    frame : int, optional
        Number of the frame, for the message.

    Raises
    ------
    SegmenterError
        If it is no array of integers, has another shape than the image, or negative labels.

    Examples
    --------
    >>> check_labels(np.zeros((2, 2)), np.zeros((2, 2)), "mine", 7)
    Traceback (most recent call last):
    gnntrack.errors.SegmenterError: segmenter 'mine', frame 7: it returned float64; labels are integers, 0 = background
    """
    where = f"segmenter '{name}'" + ("" if frame is None else f", frame {frame}")
    if not isinstance(labels, np.ndarray):
        _fail(f"{where}: it returned {type(labels).__name__}; expected an array of integer labels")
    if labels.dtype.kind not in "iu":
        hint = "; number the cells of the mask first, as scipy.ndimage.label does" if labels.dtype == bool else ""
        _fail(f"{where}: it returned {labels.dtype}; labels are integers, 0 = background{hint}")
    if labels.shape != image.shape:
        _fail(f"{where}: it returned shape {labels.shape} for an image of shape {image.shape}")
    if labels.size and labels.min() < 0:
        _fail(f"{where}: it returned the label {labels.min()}; labels are positive, 0 = background")
    return labels


def segment_frame(segmenter: Segmenter, image: Image, *, frame: int | None = None, file: object = None) -> Image:
    """Return the labels of one frame; whatever goes wrong, the error names segmenter, file and frame.

    Raises
    ------
    FrameError
        If the segmenter cannot use the image.
    SegmenterError
        If it fails otherwise, or returns no label image.
    """
    name = _name_of(segmenter)
    try:
        labels = segmenter.segment(image)
    except FrameError as error:
        if error.frame is not None or error.file is not None:
            raise
        raise FrameError(str(error), file=file, frame=frame) from error
    except (GnntrackError, MemoryError):
        raise
    except Exception as error:  # a plug-in may raise anything
        where = "" if frame is None else f", frame {frame}"
        msg = f"segmenter '{name}'{where}: it failed with {type(error).__name__}: {error}"
        raise SegmenterError(msg) from error
    return check_labels(labels, image, name, frame)


def segment_movie(
    images: FrameStack,
    segmenter: Segmenter,
    out: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> int:
    """Segment a movie frame by frame into a folder of masks; return the number of cells.

    Parameters
    ----------
    images : FrameStack
        The movie.
    segmenter : Segmenter
        What segments it.
    out : str or Path
        The folder to make: ``maskTTT.tif`` for each frame, 16 bit, or 32 bit for a frame with labels above 65535.
    overwrite : bool
        Replace an earlier result at `out`.
    resume : bool
        Keep the masks of a run that does not come to its end, in a folder ``.NAME.unfinished`` beside `out`, and go on
        with those that an earlier run left there, if it was of the same movie and segmenter.
    progress : callable, optional
        Told after each frame.

    Raises
    ------
    FrameError
        If a frame cannot be read or used.
    SegmenterError
        If the segmenter fails or returns no label image.
    OutputError
        If `out` exists or cannot be written; then nothing is left there.
    """
    if not resume:
        with fresh_output(out, overwrite=overwrite) as folder:
            folder.mkdir()
            return _write_masks(images, segmenter, folder, progress=progress)
    target = check_output(out, overwrite=overwrite)
    unfinished = target.with_name(f".{target.name}.unfinished")
    _begin(unfinished, _identity(images, segmenter))
    cells = _write_masks(images, segmenter, unfinished, progress=progress)
    with fresh_output(out, overwrite=overwrite) as folder:
        (unfinished / _IDENTITY).unlink()
        unfinished.rename(folder)
    return cells


def _write_masks(images: FrameStack, segmenter: Segmenter, folder: Path, *, progress: Progress | None) -> int:
    """Write the masks that a folder lacks, and return the number of cells in all of them."""
    cells, digits = 0, max(3, len(str(len(images) - 1)))
    for frame in range(len(images)):
        place = folder / f"mask{frame:0{digits}d}.tif"
        if place.exists():
            values = np.unique(tifffile.imread(place))
        else:
            labels = segment_frame(segmenter, images[frame], frame=frame, file=images.names[frame])
            values = np.unique(labels)
            dtype = np.min_scalar_type(max(65535, int(values[-1]) if len(values) else 0))
            aside = place.with_suffix(".partial")  # a mask is there as a whole or not at all
            tifffile.imwrite(aside, labels.astype(dtype), compression="zlib", compressionargs={"level": 1})
            aside.replace(place)
        cells += int(np.count_nonzero(values))
        if progress is not None:
            progress("segment", frame + 1, len(images))
    return cells


def _identity(images: FrameStack, segmenter: Segmenter) -> str:
    """Return what tells a movie and a segmenter from others: what went on with other options would be neither."""
    options = {key: str(value) for key, value in vars(segmenter).items() if not key.startswith("_")}
    options.pop("network", None)  # its options and weights are told by the model's path
    about = {"segmenter": _name_of(segmenter), "options": options, "frames": list(images.names), "shape": images.shape}
    return json.dumps(about, indent=1, sort_keys=True)


def _begin(folder: Path, identity: str) -> None:
    """Make the folder of a run, or take the one that an earlier run of the same kind left."""
    note = folder / _IDENTITY
    if note.is_file() and note.read_text(encoding="utf-8") != identity:
        msg = (
            f"{folder}: it is of a run with another movie, segmenter or options; give what was given then, "
            "or remove that folder"
        )
        raise OutputError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(identity, encoding="utf-8")


def prepare_segmenter(segmenter: Segmenter, images: FrameStack) -> None:
    """Let a segmenter that has a method ``prepare(images)`` look at some frames of a movie before it segments them.

    So it can choose for the whole movie what it would choose for each frame alone. Frames that cannot be read are left
    for later, when their number is told.
    """
    prepare = getattr(segmenter, "prepare", None)
    if prepare is None:
        return
    some = sorted({0, len(images) // 2, max(len(images) - 1, 0)}) if len(images) else []
    frames = []
    for frame in some:
        with suppress(GnntrackError):
            frames.append(images[frame])
    with suppress(FrameError):
        prepare(frames)


# -------------------------------------------------------------------------------------- loading


def _registered() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def _load(entry: EntryPoint) -> Callable[..., Any]:
    who = f"segmenter '{entry.name}' of {_distribution(entry)}"
    try:
        factory = entry.load()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == entry.module.partition(".")[0]:
            msg = f"{who}: {entry.value} cannot be imported: {error}; reinstall it, or tell its author"
            raise SegmenterError(msg) from error
        msg = f"{who} needs '{error.name}', which is not installed: {_pip_line(entry, error.name)}"
        raise MissingDependencyError(msg) from error
    except Exception as error:  # a plug-in may raise anything while it is imported
        msg = f"{who}: {entry.value} cannot be imported: {type(error).__name__}: {error}; tell its author"
        raise SegmenterError(msg) from error
    if not callable(factory):
        _fail(
            f"{who}: {entry.value} is a {type(factory).__name__}; its author must register a class with segment(image)"
        )
    return factory  # type: ignore[no-any-return]


def _pip_line(entry: EntryPoint, module: str) -> str:
    distribution = _distribution(entry)
    if entry.extras:
        return f"pip install '{distribution}[{','.join(entry.extras)}]'"
    return f"pip install {module.partition('.')[0]}"


def _check_options(name: str, factory: Callable[..., Any], options: dict[str, Any]) -> None:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # a compiled class may have none
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    named = [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    known = [parameter.name for parameter in named]
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, 1, 0)
            guess = f"; did you mean '{near[0]}'? There are: {', '.join(known)}" if near else "; it has no options"
            _fail(f"segmenter '{name}' has no option '{option}'{guess}")
    wanted = [p.name for p in named if p.default is p.empty and p.name not in options]
    if wanted:
        _fail(f"segmenter '{name}' cannot do without the option{'s' * (len(wanted) > 1)} {', '.join(wanted)}")


def _make(name: str, factory: Callable[..., Any], options: dict[str, Any]) -> Any:
    try:
        return factory(**options)
    except GnntrackError:
        raise
    except Exception as error:  # a plug-in may raise anything
        given = ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no options"
        msg = f"segmenter '{name}' cannot be made with {given}: {type(error).__name__}: {error}"
        raise SegmenterError(msg) from error


def _name_of(segmenter: Segmenter) -> str:
    name = getattr(segmenter, "name", None)
    return name if isinstance(name, str) else type(segmenter).__name__


def _fail(message: str) -> NoReturn:
    raise SegmenterError(message)


# ------------------------------------------------------------------------------------ describing


class _Source(NamedTuple):
    description: str = ""
    imports: tuple[str, ...] = ()


def _describe(name: str, found: Iterable[EntryPoint]) -> SegmenterInfo:
    entries = list(found)
    source = _read_source(entries[0])
    missing = [module for module in source.imports if importlib.util.find_spec(module) is None]
    packages = _packages(entries[0])
    missing += [package for package in packages if package not in missing and not _installed(package)]
    needs = (*source.imports, *(package for package in packages if package not in source.imports))
    install = _pip_line(entries[0], "") if entries[0].extras else ""
    owners = " and ".join(_distribution(entry) for entry in entries)
    return SegmenterInfo(name, owners, source.description, needs, tuple(missing), install)


def _packages(entry: EntryPoint) -> list[str]:
    """Return the packages that a segmenter's extras install."""
    requirements = (entry.dist.requires if entry.dist is not None else None) or []
    found = []
    for requirement in requirements:
        package, _, marker = requirement.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
        if extra and extra[1] in entry.extras:
            found.append(re.split(r"[^A-Za-z0-9._-]", package.strip())[0])
    return found


def _installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unnamed package"


def _read_source(entry: EntryPoint) -> _Source:
    """Read docstring and imports from the file, for importing it could take seconds, or fail."""
    file = _find_source(entry.module)
    try:
        tree = ast.parse(file.read_bytes()) if file is not None else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return _Source()
    own = {entry.module.partition(".")[0], "gnntrack", *sys.stdlib_module_names}
    modules: set[str] = set()
    description = ""
    for node in tree.body:
        if isinstance(node, ast.Import):
            modules.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.partition(".")[0])
        elif isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == entry.attr:
            description = (ast.get_docstring(node) or "").partition("\n")[0]
    return _Source(description, tuple(sorted(modules - own)))


def _find_source(module: str) -> Path | None:
    """Return the file of a module; unlike importlib's own search this imports none of its packages."""
    places: list[str] | None = None
    spec = None
    parts = module.split(".")
    for k in range(len(parts)):
        name = ".".join(parts[: k + 1])
        spec = importlib.util.find_spec(name) if k == 0 else PathFinder.find_spec(name, places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or [])
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None
