"""Video files (avi, mp4, mov and others), read by OpenCV, which brings the decoders.

Videos are compressed for the eye: intensities are approximate. Masks in a video are refused.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FrameError
from gnntrack.io.stack import Stack, open_array
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = ["SUFFIXES", "Video", "open_video"]

SUFFIXES = (".avi", ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ogv")
_KEPT = 8  # latest frames in memory: threads that read ahead ask for them in nearly the right order
_TINT = 8  # largest difference of the colours of a grey video
_FRAMES = "or convert it to images: ffmpeg -i {name} frames/t%04d.png"

_log = logging.getLogger(__name__)


def open_video(path: Path, *, axes: str | None = None, channel: int | str | None = None, masks: bool = False) -> Stack:
    """Open a video as a movie, whose frames are decoded when they are read.

    Parameters
    ----------
    path : Path
        The file.
    axes : str or None
        A letter per axis, in place of ``tyx``, or ``tyxs`` if its first frames have colours.
    channel : int, str or None
        Number or name of the colour to read.
    masks : bool
        Whether masks are wanted; these are refused.

    Raises
    ------
    FrameError
        If it cannot be read, or masks are wanted.
    ChannelError
        If it has colours and none is chosen.
    """
    if masks:
        msg = "it is a video, whose compression changes labels; save masks as TIFF or PNG, or as .npy"
        raise FrameError(msg, file=path)
    video = Video(path)
    stack = open_array(video, axes or video.axes, name=str(path), channel=channel)
    _log.warning("%s: the compression of a video changes intensities; use the original images if you have them", path)
    return stack


class Video:
    """A video as an array ``(t, y, x)``, or ``(t, y, x, 3)`` if its first frames have colours.

    Frames are decoded in order, and again from the start for an earlier one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._capture: Any = None
        self._next = 0
        self._kept: OrderedDict[int, Image] = OrderedDict()
        self._coloured: bool | None = None
        capture = self._start()
        count = int(capture.get(7))  # CAP_PROP_FRAME_COUNT, an estimate for some containers
        first = self._decode()
        if first is None:
            msg = f"it holds no frame that can be decoded; check that it is complete, {self._suggest()}"
            raise FrameError(msg, file=path, frame=0)
        while np.ptp(first) == 0 and self._next < _KEPT and (later := self._decode()) is not None:
            first = later  # a black frame does not show whether there are colours
        self._coloured = first.ndim == 3
        self._start()
        self.axes = "tyxs" if self._coloured else "tyx"
        self.shape = (count if count > 0 else self._count(), *first.shape)
        self.dtype = first.dtype

    def __reduce__(self) -> tuple[type[Video], tuple[Path]]:
        return type(self), (self._path,)

    def __getitem__(self, index: tuple[int | slice, ...]) -> Image:
        frame, *inner = index
        with self._lock:
            image = self._read(int(frame))  # type: ignore[arg-type]  # lay_out indexes frames one by one
        return image[tuple(inner)]

    def _read(self, frame: int) -> Image:
        if frame not in self._kept:
            if frame < self._next:
                self._start()
            while self._next <= frame:
                number, image = self._next, self._decode()
                if image is None:
                    msg = (
                        f"the video ends after {count_noun(number, 'frame')}, its header names "
                        f"{self.shape[0]}; repair it, "
                        f"{self._suggest()}"
                    )
                    raise FrameError(msg, file=self._path, frame=frame)
                self._kept[number] = image
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return self._kept[frame]

    def _start(self) -> Any:
        import cv2

        if self._capture is not None:
            self._capture.release()
        self._capture, self._next = cv2.VideoCapture(str(self._path)), 0
        if not self._capture.isOpened():
            msg = f"it cannot be opened as a video; check that it is complete, {self._suggest()}"
            raise FrameError(msg, file=self._path)
        return self._capture

    def _decode(self) -> Image | None:
        """Return the next frame, or None at the end: with colours if it has some, unless the movie is grey."""
        ok, image = self._capture.read()
        if not ok:
            return None
        self._next += 1
        if image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
        import cv2

        if self._coloured or (self._coloured is None and _has_colours(image)):
            return np.ascontiguousarray(image[..., ::-1])
        same = np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(image[..., 0], image[..., 2])
        return np.ascontiguousarray(image[..., 0]) if same else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))

    def _count(self) -> int:
        """Return the number of frames of a video whose header does not name it."""
        count = self._next
        while self._capture.grab():
            count += 1
        self._start()
        return count

    def _suggest(self) -> str:
        return _FRAMES.format(name=self._path.name)


def _has_colours(image: Image) -> bool:
    """Return whether the colours differ by more than compression changes those of a grey image."""
    return float(np.quantile(np.ptp(image, axis=2), 0.999)) > _TINT
