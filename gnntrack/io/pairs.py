"""Images and masks of one movie: which files of a folder are which, and frames that one of them has as slices."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.durations import format_duration
from gnntrack.errors import InputError, PatternError
from gnntrack.io.folders import find_mask_files
from gnntrack.io.frames import check_pair, open_frames
from gnntrack.io.numpy_files import names_masks
from gnntrack.io.slices import check_slices, holds_slices_of
from gnntrack.io.stack import get_interval
from gnntrack.io.time_stamps import describe_steps, find_timing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.settings import FrameSettings
    from gnntrack.types import FrameStack

__all__ = ["complete_sources", "find_interval", "open_alone", "open_pair", "warn_of_masks"]

_log = logging.getLogger(__name__)


def complete_sources(images: object, masks: object, frames: FrameSettings) -> tuple[object, object]:
    """Return images and masks; a folder or an archive (``.npz``) that holds both is both.

    A folder holds both if a pattern for the other one is given, or if some of its files have the usual names of masks;
    an archive, if two of its arrays have the usual names.

    Parameters
    ----------
    images, masks : object
        Sources, or None.
    frames : FrameSettings
        The patterns.
    """
    if masks is None and frames.masks_pattern is not None:
        return images, images
    if images is None and frames.images_pattern is not None:
        return masks, masks
    if masks is None and not frames.trust_masks:
        found = _find_masks(images)
        if found is not None and frames.images_pattern is not None:
            _log.warning(
                "%s: it also holds masks, %s, which are not read, and the images are segmented: --images-pattern "
                "is given without --masks-pattern, such as 'pos1_t{t}_masks.tif' (in Python masks_pattern=)",
                images,
                _describe_files(*found),
            )
            return images, masks
        if found is not None:
            files = _describe_files(*found)
            _log.warning("%s: its masks are %s; others are chosen by --masks-pattern", images, files)
            return images, images
        name = _find_masks_in_archive(images)
        if name is not None:
            _log.warning("%s: its masks are the array '%s'", images, name)
            return images, images
    return images, masks


def warn_of_masks(images: object) -> None:
    """Warn if a folder of images also holds masks, which are not read as images."""
    found = _find_masks(images)
    if found is not None:
        verb = "is a file of masks and is" if found[1] == 1 else "are masks and are"
        _log.warning("%s: %s %s not read as images", images, _describe_files(*found), verb)


def find_interval(*stacks: FrameStack) -> float | None:
    """Return the frame interval of a movie, and warn if the time stamps in the file names are irregular.

    Parameters
    ----------
    *stacks : FrameStack
        Images and masks of the movie; metadata of one of them prevail over file names.
    """
    timed = [stack for stack in stacks if get_interval(stack) is not None]
    if not timed:
        _warn_of_stamps(stacks)
        return None
    known = min(timed, key=_is_from_names)
    interval = get_interval(known)
    if interval is not None and _is_from_names(known):
        message = "%s: the frame interval is %s, that of the time stamps in the file names"
        _log.info(message, known.names[0], format_duration(interval))
    return interval


def _is_from_names(stack: FrameStack) -> bool:
    return bool(getattr(stack, "from_names", False))


def _warn_of_stamps(stacks: Sequence[FrameStack]) -> None:
    """Warn of the first movie whose file names have irregular time stamps."""
    for stack in stacks:
        timing = find_timing(stack.names)
        if timing is not None:
            if not timing.told:
                _log.warning("%s: %s", stack.names[0], describe_steps(timing))
            return


def _describe_files(kind: str, count: int) -> str:
    return kind if count == 1 else f"the {count} files {kind}"


def _find_masks(images: object) -> tuple[str, int] | None:
    folder = Path(images).expanduser() if isinstance(images, str | Path) else None
    return find_mask_files(folder) if folder is not None and folder.is_dir() else None


def _find_masks_in_archive(images: object) -> str | None:
    file = Path(images).expanduser() if isinstance(images, str | Path) else None
    return names_masks(file) if file is not None and file.suffix.lower() == ".npz" and file.is_file() else None


def open_alone(source: object, frames: FrameSettings, *, masks: bool) -> FrameStack:
    """Open images or masks alone.

    Raises
    ------
    FrameError
        If it cannot be read, or is a single frame whose slices are probably frames.
    """
    stack = open_frames(source, **(frames.select_for_masks() if masks else frames.select_for_images()))
    if frames.axes is None:
        check_slices(stack)
    return stack


def open_pair(images: object, masks: object, frames: FrameSettings) -> tuple[FrameStack, FrameStack]:
    """Open images and masks of one movie.

    If one is a single frame whose slices fit the frames of the other, its slices are read as frames.

    Raises
    ------
    FrameError
        If one cannot be read, is a single frame whose slices are probably frames, or they do not fit each other. If
        both need a pattern, the message has both.
    """
    image_options, mask_options = frames.select_for_images(), frames.select_for_masks()
    try:
        opened = open_frames(images, **image_options)
    except PatternError as error:
        raise _add_pattern(error, masks, mask_options) from None
    mask_stack = open_frames(masks, **mask_options)
    if frames.axes is None and holds_slices_of(mask_stack, opened):
        mask_stack = _read_slices_as_frames(masks, mask_options, mask_stack)
    elif frames.axes is None and holds_slices_of(opened, mask_stack):
        opened = _read_slices_as_frames(images, image_options, opened)
    check_pair(opened, mask_stack)
    if frames.axes is None:
        check_slices(mask_stack)
    return opened, mask_stack


def _add_pattern(error: PatternError, masks: object, options: dict[str, Any]) -> PatternError:
    """Return the error of the images with the pattern of the masks, if these need one as well."""
    try:
        open_frames(masks, **options)
    except PatternError as other:
        more = f"; the masks need one too: --masks-pattern '{other.pattern}' (masks_pattern= in Python)"
        both = PatternError(f"{error}{more}", role=error.role, pattern=error.pattern)
        both.file = error.file
        return both
    except InputError:
        pass  # the images come first
    return error


def _read_slices_as_frames(source: object, options: dict[str, Any], stack: FrameStack) -> FrameStack:
    _log.warning("%s: its slices are read as the frames of the movie, as by --axes tyx", stack.names[0])
    return open_frames(source, **options | {"axes": "tyx"})
