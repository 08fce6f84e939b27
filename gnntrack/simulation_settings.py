"""Defaults of simulated movies: cells on a dish or in a gel, and nuclei of an embryo in a light-sheet microscope."""
# without `from __future__ import annotations`: the annotations are the kinds of the settings

from typing import Any

from gnntrack.errors import SettingsError
from gnntrack.plurals import count_noun
from gnntrack.setting_kinds import is_pixel_size
from gnntrack.setting_sections import Section, limit

__all__ = ["MOVIE_KINDS", "EmbryoSettings", "SimulateSettings", "read_movie_kinds"]

MOVIE_KINDS = {
    "cells": "cells on a dish or in a gel: they move, grow, divide, die, touch, enter and leave",
    "colony": "bacteria in an expanding colony: rods that grow, divide and push each other",
    "channels": "bacteria in the channels of a microfluidic chip: rods in lines, pushed out at the open ends",
    "sheet": "a migrating sheet of cells or nuclei, with or without a wound: neighbours move together",
    "epithelium": "a tissue without gaps between the cells, which rearrange, divide and leave it",
    "sparse": "few cells that crawl far and rest, such as immune cells",
    "amoeboid": "cells whose shape changes all the time: with lobes, round or long, alone or in crowds",
    "cleavage": "an embryo in 3D: its cells, or their nuclei, divide in waves, without growth",
}
"""Kinds of simulated movies with masks, and what is in them; those after the first are in `gnntrack.simulate.kinds`."""


def read_movie_kinds(value: Any) -> Any:
    """Return the names of kinds of movies that are given as a list or as text with commas; `all` are all of them.

    >>> read_movie_kinds("cells,sheet")
    ['cells', 'sheet']
    """
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    names = list(MOVIE_KINDS) if names in (["all"], ("all",)) else names
    if not isinstance(names, list | tuple) or not names or not set(map(str, names)) <= MOVIE_KINDS.keys():
        msg = f"expected all, or some of {', '.join(MOVIE_KINDS)}"
        raise ValueError(msg)
    return names


class SimulateSettings(Section):
    """Movies with a known lineage (``simulate/``)."""

    frames: int = limit(60, ge=1)
    """Number of frames."""
    shape: tuple[int, ...] = limit((384, 384), lengths=(2, 3))
    """Pixels of a frame along [z], y, x; three numbers make a 3D movie."""
    spacing: tuple[float, ...] | None = limit(None, lengths=(2, 3))
    """Size of a pixel in um along [z], y, x; default: 0.5 along y and x, 1.0 along z."""
    cells: int = limit(24, ge=0)
    """Approximate number of cells at the start; at most as many as fit into the frame."""
    diameter: float = limit(14.0, gt=0)
    """Diameter of a grown cell in um."""
    clustering: float = limit(0.4, ge=0, le=1)
    """Fraction of the cells that start in clusters, where cells touch."""
    speed: float = limit(0.8, ge=0)
    """Distance in um that a cell moves by itself per frame."""
    persistence: float = limit(0.7, ge=0, lt=1)
    """Fraction of its velocity that a cell keeps from frame to frame; 0 = a random walk."""
    drift: float = limit(0.3, ge=0)
    """Distance in um that the whole field moves per frame."""
    jumps: float = limit(0.0, ge=0, le=1)
    """Fraction of the frames in which the whole field jumps, by half a diameter to two diameters."""
    divisions: bool = True
    """Cells grow and divide."""
    cycle: float = limit(32.0, ge=4)
    """Mean number of frames between divisions; crowded cells take longer."""
    death_rate: float = limit(0.002, ge=0, lt=1)
    """Fraction of the cells that die per frame."""
    images: bool = True
    """Make images as well as masks."""
    photons: float = limit(120.0, gt=0)
    """Brightness of a cell at the start, in photons per pixel; fewer photons mean more noise."""
    background: float = limit(12.0, ge=0)
    """Brightness of the background, in photons per pixel."""
    read_noise: float = limit(2.0, ge=0)
    """Standard deviation of the camera noise, in photons per pixel."""
    blur: float = limit(0.6, ge=0)
    """Standard deviation of the blur in um along y and x; along z it is 2.5 times as large."""
    texture: float = limit(0.35, ge=0, le=1)
    """Contrast of the chromatin in a cell; 0 = cells are smooth."""
    bleaching: float = limit(0.3, ge=0, lt=1)
    """Fraction of the cells' brightness that is lost by the last frame."""
    shading: float = limit(0.35, ge=0, lt=1)
    """Fraction of the light that is missing in the darkest corner of the frame."""

    def _check_together(self) -> None:
        if min(self.shape) < 1 or not all(map(is_pixel_size, self.spacing or ())):
            msg = "the shape of a frame and the size of a pixel are positive; a pixel has 1e-9 to 1e9 um"
            raise SettingsError(msg)
        if self.spacing is not None and len(self.spacing) != len(self.shape):
            msg = (
                f"spacing has {count_noun(len(self.spacing), 'number')} and shape {len(self.shape)}; give one per axis"
            )
            raise SettingsError(msg)


class EmbryoSettings(Section):
    """Movies of the nuclei of an embryo with a known lineage (``simulate/embryo.py``)."""

    frames: int = limit(100, ge=1)
    """Number of frames."""
    shape: tuple[int, ...] = limit((64, 256, 256), lengths=(3,))
    """Voxels of a frame along z, y, x."""
    spacing: tuple[float, ...] = limit((1.625, 0.40625, 0.40625), lengths=(3,))
    """Size of a voxel in um along z, y, x."""
    cells: int = limit(250, ge=0)
    """Approximate number of nuclei in the first frame; at most as many as fit into the volume."""
    diameter: float = limit(8.0, gt=0)
    """Diameter of a grown nucleus in um."""
    speed: float = limit(1.0, ge=0)
    """Distance in um that a nucleus moves by itself per frame (root mean square)."""
    persistence: float = limit(0.6, ge=0, lt=1)
    """Fraction of its own velocity that a nucleus keeps from frame to frame; 0 = a random walk."""
    flow: float = limit(0.5, ge=0)
    """Distance in um that the tissue around a nucleus moves per frame (root mean square): neighbours move together."""
    flow_length: float = limit(60.0, gt=0)
    """Length in um of the waves of the flow; nuclei closer than a quarter of it move alike."""
    drift: float = limit(1.3, ge=0)
    """Distance in um that the whole stack moves per frame (median of a log-normal distribution)."""
    drift_spread: float = limit(0.5, ge=0)
    """Standard deviation of the logarithm of the drift per frame."""
    frozen: float = limit(0.08, ge=0, lt=1)
    """Fraction of the frames that are copies of the frame before."""
    jumps: float = limit(0.01, ge=0, le=1)
    """Fraction of the frames in which the whole stack is displaced by 3 to 8 um, mostly along z, for one frame."""
    divisions: bool = True
    """Nuclei grow and divide."""
    division_rate: float = limit(0.0025, ge=0, le=0.1)
    """Fraction of the nuclei that divide per frame."""
    death_rate: float = limit(0.0003, ge=0, lt=1)
    """Fraction of the nuclei that die per frame."""
    misses: float = limit(0.06, ge=0, lt=1)
    """Fraction of the nuclei that are not detected in a frame; dim nuclei are missed more often, for some frames."""
    clutter: float = limit(0.05, ge=0)
    """Number of false detections per nucleus; they move like nuclei, flicker, and disappear after some frames."""
    noise: float = limit(0.4, ge=0)
    """Standard deviation in um of a detected position along y and x; along z it is 1.5 times as large."""
    whole_voxels: bool = True
    """Positions of detections and ground truth are whole voxels."""
    images: bool = True
    """Write volumes as well as detections."""
    photons: float = limit(60.0, gt=0)
    """Brightness of an ordinary nucleus in photons per voxel; fewer photons mean more noise."""
    background: float = limit(12.0, ge=0)
    """Brightness of the background, in photons per voxel."""
    haze: float = limit(0.25, ge=0)
    """Light from out of focus around nuclei, relative to their own."""
    read_noise: float = limit(2.0, ge=0)
    """Standard deviation of the camera noise, in photons per voxel."""
    blur: float = limit(0.5, ge=0)
    """Standard deviation of the blur in um along y and x."""
    axial_blur: float = limit(3.0, ge=1)
    """Standard deviation of the blur along z, relative to that along y and x."""
    texture: float = limit(0.35, ge=0, le=1)
    """Contrast of the chromatin in a nucleus; 0 = nuclei are smooth."""
    bleaching: float = limit(0.2, ge=0, lt=1)
    """Fraction of the brightness of nuclei that is lost by the last frame."""
    shading: float = limit(0.4, ge=0, lt=1)
    """Fraction of the light that is missing in the deepest plane."""

    def _check_together(self) -> None:
        if min(self.shape) < 1 or not all(map(is_pixel_size, self.spacing)):
            msg = "the shape of a frame and the size of a voxel are positive; a voxel has 1e-9 to 1e9 um"
            raise SettingsError(msg)
