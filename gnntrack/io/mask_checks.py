"""Checks of masks and images when a movie is opened: swapped or mixed ones, binary masks, another background than 0.

Some frames are read before the long work: the first, the middle and the last one. Each is kept until it is asked for,
so that no file is read twice. Of a frame that is read in slabs, the middle slab is checked. A clear fault is an error
that names the remedy; a doubtful one is a warning.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.errors import FrameError
from gnntrack.frame_slabs import read_sample
from gnntrack.io.frames import open_masks
from gnntrack.io.stack import Stack, get_interval
from gnntrack.masks.recognise import FrameKind, are_lines, describe_frame, drop_padding
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gnntrack.types import FrameStack, Image

__all__ = [
    "CheckOptions",
    "MovieKind",
    "check_images",
    "check_masks",
    "check_movie",
    "describe_kind",
    "describe_movie",
    "find_fault",
    "open_with_background",
]

_log = logging.getLogger(__name__)

_LARGEST_KEPT = 1 << 26  # bytes of a frame that is kept in memory between the check and its use
_MOST_CLASSES = 8  # values of a mask of classes; an image has more
_TRUST = "--trust-masks (frames.trust_masks) uses them as they are"
_ORDER = "give the images first and the masks second: IMAGES MASKS (in Python: images=, masks=)"
_ALONE = (
    "images come first and masks second: for masks alone write track(masks=...), or --masks MASKS on the command line"
)
_LABELS = "expected label images, with 0 for the background and a number for each cell"


class MovieKind(NamedTuple):
    """What the values of a movie are, from some of its frames."""

    frames: dict[int, FrameKind]
    """Kind of each frame that was read."""

    @property
    def cells(self) -> dict[int, FrameKind]:
        """The frames that have cells, or are images."""
        return {frame: each for frame, each in self.frames.items() if each.kind != "empty"}

    @property
    def kind(self) -> str:
        """The most frequent kind, ``"empty"`` if no frame has a cell."""
        kinds = Counter(each.kind for each in self.cells.values())
        return kinds.most_common(1)[0][0] if kinds else "empty"

    @property
    def background(self) -> int | None:
        """The value other than 0 that is the background of all frames with cells, or None."""
        found = {each.background for each in self.cells.values()}
        return found.pop() if len(found) == 1 else None

    def is_surely_labels(self) -> bool:
        """Return whether every frame with cells is a label image with the background 0, one with several labels."""
        return (
            bool(self.cells)
            and all(each.kind == "labels" and each.lowest == 0 and not each.background for each in self.cells.values())
            and max(each.values for each in self.cells.values()) > 1
        )

    def is_like_masks(self) -> bool:
        """Return whether the frames are rather masks than images: labels, a foreground, or few classes."""
        few = all(each.values <= _MOST_CLASSES for each in self.cells.values())
        return self.kind in {"labels", "foreground"} or (self.kind == "classes" and few)

    def find_example(self, kind: str) -> tuple[int, FrameKind]:
        """Return a frame of a kind, and its description."""
        return next((frame, each) for frame, each in self.frames.items() if each.kind == kind)


def describe_movie(stack: FrameStack) -> tuple[MovieKind, FrameStack]:
    """Return what the values of a movie are, and the movie; the frames that were read are kept for their first use.

    Parameters
    ----------
    stack : FrameStack
        Frames as they are in the files.

    Raises
    ------
    FrameError
        If one of the frames cannot be read.
    """
    last = len(stack) - 1
    kept: dict[int, Image] = {}
    found: dict[int, FrameKind] = {}
    for frames in ((0, last // 2, last), (last // 4, 3 * last // 4)):
        for frame in sorted({*frames} - {*found}) if last >= 0 else ():
            image = read_sample(stack, frame)
            found[frame] = describe_frame(image)
            if image.nbytes <= _LARGEST_KEPT and image.shape == stack.shape:
                kept[frame] = image
        if any(each.kind != "empty" for each in found.values()):
            break
    read = partial(_read_kept, stack, kept)
    if isinstance(stack, Stack):
        return MovieKind(found), replace(stack, read=read)
    return MovieKind(found), Stack(read, stack.names, stack.shape, stack.spacing, stack.unit, get_interval(stack))


def _read_kept(stack: FrameStack, kept: dict[int, Image], frame: int) -> Image:
    image = kept.pop(frame, None)
    return stack[frame] if image is None else image


class CheckOptions(NamedTuple):
    """How masks are checked."""

    background: int | None = None
    """Value of the background; if None, another value than 0 is recognised and a warning names it."""
    trusted: bool = False
    """Whether masks and images are used as they are, whatever they look like."""
    split: bool = False
    """Whether labels in several pieces are split later, so that binary masks are right."""


DEFAULT_CHECKS = CheckOptions()


def check_movie(
    masks: FrameStack, images: FrameStack, options: CheckOptions = DEFAULT_CHECKS
) -> tuple[FrameStack, FrameStack]:
    """Return the masks and images of a movie, after a check that they are masks and images.

    Parameters
    ----------
    masks, images : FrameStack
        Frames as they are in the files.
    options : CheckOptions
        How masks are checked.

    Raises
    ------
    FrameError
        If they are swapped, both are masks, both are images, or the masks are binary and are not split.

    Examples
    --------
    >>> masks = np.zeros((2, 32, 32), np.uint8); masks[:, 4:12, 4:12] = 7; masks[:, 20:28, 3:9] = 9
    >>> images = np.random.default_rng(0).integers(0, 1000, masks.shape)
    >>> from gnntrack.io.frames import open_frames
    >>> check_movie(open_frames(images), open_frames(masks))
    Traceback (most recent call last):
    gnntrack.errors.FrameError: array, frame 0: the masks are an image ... are the two swapped? give the images ...
    """
    if options.trusted:
        return _open_with_background(masks, MovieKind({}), options.background), images
    mask_kind, masks = describe_movie(masks)
    image_kind, images = describe_movie(images)
    labels, surely = image_kind.kind in {"labels", "foreground", "classes"}, image_kind.is_surely_labels()
    if (mask_kind.kind == "image" and labels) or (surely and mask_kind.kind not in {"labels", "empty"}):
        frame = next(iter(mask_kind.cells))
        msg = (
            f"the masks are {describe_kind(mask_kind.frames[frame])}, and the images ({images.names[frame]}) are "
            f"{describe_kind(image_kind.frames[frame])}: are the two swapped? {_ORDER}; {_TRUST}"
        )
        raise FrameError(msg, file=masks.names[frame], frame=frame)
    if mask_kind.kind != "image":
        _refuse_masks_as_images(image_kind, images, _ALONE)
    return _check_mask_kind(mask_kind, masks, options), images


def check_masks(masks: FrameStack, options: CheckOptions = DEFAULT_CHECKS) -> FrameStack:
    """Return the masks of a movie without images, after a check that they are label images; see `check_movie`.

    Raises
    ------
    FrameError
        If they are images, or are binary and are not split.
    """
    if options.trusted:
        return _open_with_background(masks, MovieKind({}), options.background)
    kind, masks = describe_movie(masks)
    return _check_mask_kind(kind, masks, options)


def check_images(images: FrameStack, *, trusted: bool = False) -> FrameStack:
    """Return the images of a movie without masks, after a check that they are not masks.

    Raises
    ------
    FrameError
        If they are label images.
    """
    if trusted:
        return images
    kind, images = describe_movie(images)
    _refuse_masks_as_images(kind, images, _ALONE)
    if kind.kind == "foreground":
        _log.warning(
            "%s: the images have two values only, as a binary mask; 'gnntrack track --masks MASKS --fragments split' "
            "tracks the pieces of a binary mask",
            images.names[0],
        )
    return images


def _refuse_masks_as_images(kind: MovieKind, images: FrameStack, remedy: str) -> None:
    if kind.is_surely_labels():
        frame, each = kind.find_example("labels")
        msg = f"this looks like a mask, not like an image: it is {describe_kind(each)}; {remedy}"
        msg += f"; {_TRUST}"
        raise FrameError(msg, file=images.names[frame], frame=frame)


def _check_mask_kind(kind: MovieKind, masks: FrameStack, options: CheckOptions) -> FrameStack:
    """Return masks with the background 0; raise if they are clearly not label images, and warn if that is in doubt."""
    fault = find_fault(kind, split=options.split)
    if fault is not None:
        frame, message, clear = fault
        if clear:
            raise FrameError(message, file=masks.names[frame], frame=frame)
        _log.warning("%s, frame %d: %s", masks.names[frame], frame, message)
    backgrounds = {each.background or 0: frame for frame, each in kind.cells.items()}
    if options.background is None and len(backgrounds) > 1:
        _log.warning(
            "%s: the background seems to differ between frames: %s; where it is not 0 it is tracked as a cell: set it "
            "to 0 in all files",
            masks.names[0],
            ", ".join(f"{value} in frame {frame}" for value, frame in sorted(backgrounds.items())),
        )
    return _open_with_background(masks, kind, options.background)


def find_fault(kind: MovieKind, *, split: bool = False) -> tuple[int, str, bool] | None:
    """Return why frames are not label images: a frame, a sentence, and whether it is clear; None if they are.

    Parameters
    ----------
    kind : MovieKind
        Kinds of the frames.
    split : bool
        Whether labels in several pieces are split later.
    """
    cells = kind.cells
    # values that are not whole numbers are an error of the reader, which names them
    wrong = {frame: each for frame, each in cells.items() if each.kind != "labels" and each.whole}
    if split:
        wrong = {frame: each for frame, each in wrong.items() if each.kind == "image"}
    if not wrong:
        return None
    frame = max(wrong, key=lambda frame: wrong[frame].pieces)
    each = wrong[frame]
    clear = 2 * len(wrong) >= len(cells) and not each.doubtful
    if each.kind == "foreground" and (each.highest == 255 or each.pieces > 3):
        clear = True
    return frame, _describe_fault(each), clear


def _describe_fault(kind: FrameKind) -> str:
    if kind.kind == "image":
        return (
            f"this looks like an image, not like a mask: it is {describe_kind(kind)}; {_LABELS}: give masks as MASKS, "
            f"or IMAGES alone, which are segmented; {_TRUST}"
        )
    return (
        f"this is not a label image: it is {describe_kind(kind)}, and each cell needs a label of its own; "
        f"--fragments split (cells.fragments) makes a cell of each piece, {_TRUST}"
    )


def describe_kind(kind: FrameKind) -> str:
    """Return the values of a frame in words."""
    pieces = count_noun(kind.pieces, "piece")
    count = f"{count_noun(kind.values, 'value')} from {kind.lowest:g} to {kind.highest:g}, in {pieces}"
    if not kind.whole:
        return "an image of values that are not whole numbers"
    return {
        "labels": f"a label image of {count_noun(kind.values, 'label')}",
        "foreground": f"a binary mask, one value in {pieces} (background {kind.background or 0})",
        "classes": f"a mask of classes or an image of few grey values ({count})",
        "image": f"an image of grey values ({count})",
        "empty": "empty",
    }[kind.kind]


def _open_with_background(masks: FrameStack, kind: MovieKind, background: int | None) -> FrameStack:
    """Return masks whose background is 0, whatever value it has in the files; a warning names a value not given."""
    opened, note = open_with_background(masks, kind, background)
    if note:
        _log.warning("%s: %s", masks.names[0], note)
    return opened


def open_with_background(masks: FrameStack, kind: MovieKind, background: int | None) -> tuple[FrameStack, str]:
    """Return masks whose background is 0, whatever value it has in the files, and a note if that value is not given.

    Parameters
    ----------
    masks : FrameStack
        Frames as they are in the files.
    kind : MovieKind
        Kinds of some frames.
    background : int or None
        Value of the background; None recognises it.
    """
    value = kind.background if background is None else background
    if not value:
        return open_masks(masks), ""
    zeros, rare = _inspect_zeros((read_sample(masks, frame) for frame in kind.frames or (0,)), value)
    effect = {None: "", True: ", and the value 0 is a cell", False: ", and so is the value 0"}[zeros]
    note = (
        f"the background is the value {value} and not 0, since it covers most of the border; it is read as background"
        f"{effect}: --background {value} (frames.background) confirms it, --background 0 makes it a cell"
    )
    if background is not None:
        note = (
            f"the background is given as {value}, which covers fewer pixels than 0, so that 0 is tracked as a cell: is "
            f"{value} the label of a cell? Leave --background (frames.background) away, or give --background 0"
        )
    opened = open_masks(masks, background=value, zeros_are_cells=bool(zeros))
    return opened, note if background is None or (zeros and rare) else ""


def _inspect_zeros(frames: Iterable[Image], value: int) -> tuple[bool | None, bool]:
    """Return whether 0 is a cell, and whether the background `value` covers fewer pixels than 0.

    The value 0 is None if it is absent, and no cell if it is a border around the frame or thin lines between basins.
    """
    found, zeros, others = [], 0, 0
    for frame in frames:
        absent = frame == 0
        zeros, others = zeros + int(np.count_nonzero(absent)), others + int(np.count_nonzero(frame == value))
        inside = drop_padding(frame) == 0
        if inside.any():
            found.append(not are_lines(inside))
    return (any(found) if found else None), others < zeros
