"""Videos: frames written one by one as H.264 in an MP4 file, or as an animated GIF, by PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import OutputError, explain_missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gnntrack.types import Image

__all__ = ["VIDEO_SUFFIXES", "check_video_path", "make_palette", "write_gif", "write_mp4"]

VIDEO_SUFFIXES = (".mp4", ".gif")
_GREYS = 64  # of the 256 colours of a GIF
_NOISE = 8  # difference of colours, of 255, that a GIF does not show
_TINT = 24  # difference of the colours of a pixel that is not grey
_BT709 = 1  # number of this standard, for colour space, primaries and transfer, in all video formats
_LIMITED = 1  # number of the range of values from 16 to 235, which all players expect


def check_video_path(path: Path) -> None:
    """Raise unless a video can be written under this name, and PyAV is installed.

    Raises
    ------
    OutputError
        If the suffix is neither ``.mp4`` nor ``.gif``.
    MissingDependencyError
        If PyAV is not installed.
    """
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        msg = f"{path}: videos end in {' or '.join(VIDEO_SUFFIXES)}, not in '{path.suffix}'"
        raise OutputError(msg)
    with explain_missing(f"{path}: videos need", "av", "pip install av"):
        import av  # noqa: F401


def write_mp4(path: Path, frames: Iterable[Image], *, fps: float, comment: str = "") -> None:
    """Write an MP4 file that browsers, PowerPoint and QuickTime play: H.264, 4:2:0, even sides.

    Parameters
    ----------
    path : Path
        The file.
    frames : iterable of (Y, X, 3) uint8
        Frames of the same size; each is written before the next is taken. A side that is odd gets one more pixel.
    fps : float
        Frames a second.
    comment : str
        Written into the header.

    Raises
    ------
    OutputError
        If the PyAV that is installed was built without an encoder of H.264.
    """
    import av
    from av.video.reformatter import ColorRange, Colorspace

    options = {"crf": "24", "preset": "faster"}
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata["comment"] = comment
        try:
            stream: Any = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
        except ValueError as error:  # av.codec.UnknownCodecError
            msg = f"{path}: this build of PyAV cannot write H.264; install the one of PyPI: pip install av"
            raise OutputError(msg) from error
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        for number, pixels in enumerate(frames):
            even = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), mode="edge")
            if not number:
                stream.height, stream.width = even.shape[:2]
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            frame = rgb.reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )  # without these, players show other colours than those that were drawn
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def make_palette(samples: Sequence[Image]) -> Image:
    """Return 256 colours for a GIF: 64 greys, and the colours that some of its frames have.

    Parameters
    ----------
    samples : sequence of (Y, X, 3) uint8
        A few frames.

    Returns
    -------
    (256, 3) uint8
        The colours.

    Examples
    --------
    >>> frame = np.zeros((4, 4, 3), np.uint8)
    >>> frame[1, 1] = 250, 20, 30
    >>> palette = make_palette([frame])
    >>> palette[63].tolist(), palette[64].tolist()
    ([255, 255, 255], [250, 20, 30])
    """
    from PIL import Image as Picture

    pixels = np.concatenate([frame.reshape(-1, 3) for frame in samples])
    tinted = pixels[np.ptp(pixels.astype(np.int16), axis=1) > _TINT]
    colours = np.repeat(np.linspace(0, 255, _GREYS).round().astype(np.uint8)[:, None], 3, axis=1)
    if len(tinted):
        some = Picture.fromarray(tinted[None]).quantize(256 - _GREYS, Picture.Quantize.MEDIANCUT)
        chosen = np.array(some.getpalette("RGB"), np.uint8).reshape(-1, 3)[: 256 - _GREYS]
        colours = np.concatenate([colours, chosen])
    return np.concatenate([colours, np.zeros((256 - len(colours), 3), np.uint8)])


def write_gif(path: Path, frames: Iterable[Image], *, fps: float, palette: Image) -> None:
    """Write an animated GIF that repeats; changes of less than 3 % of the range are not stored.

    Parameters
    ----------
    path : Path
        The file.
    frames : iterable of (Y, X, 3) uint8
        Frames of the same size; each is written before the next is taken.
    fps : float
        Frames a second; a GIF keeps its inverse in hundredths of a second.
    palette : (256, 3) uint8
        From `make_palette`.
    """
    import av
    from PIL import Image as Picture

    model = Picture.new("P", (1, 1))
    model.putpalette(palette.tobytes())
    opaque = np.concatenate([np.full((256, 1), 255, np.uint8), palette], axis=1)  # alpha first
    shown = np.zeros((0, 0), np.uint8)
    with av.open(str(path), "w", format="gif", options={"loop": "0"}) as container:
        stream: Any = container.add_stream("gif", rate=Fraction(100, max(2, round(100 / fps))))
        stream.pix_fmt = "pal8"
        for number, pixels in enumerate(frames):
            if not number:
                stream.height, stream.width = pixels.shape[:2]
            near = np.asarray(Picture.fromarray(pixels).quantize(palette=model, dither=Picture.Dither.NONE))
            shown = near if shown.shape != near.shape else _keep_similar(shown, near, palette)
            pair: Any = (shown, opaque)  # the annotation of PyAV lacks images with a palette
            frame = av.VideoFrame.from_ndarray(pair, format="pal8")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _keep_similar(before: Image, now: Image, palette: Image) -> Image:
    """Return a frame of a GIF in which pixels whose colour has hardly changed stay as they were: noise takes no space.

    >>> palette = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[:, None], 3, axis=1)
    >>> _keep_similar(np.array([[10, 10]], np.uint8), np.array([[11, 20]], np.uint8), palette).tolist()
    [[10, 20]]
    """
    step = np.abs(palette[before].astype(np.int16) - palette[now]).max(axis=-1)
    return np.where(step <= _NOISE, before, now)
