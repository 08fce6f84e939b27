"""Units of the quantities of a lineage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gnntrack.types.lineage import Lineage

__all__ = ["Units"]


@dataclass(frozen=True)
class Units:
    """Units of lengths and times.

    Parameters
    ----------
    length : str
        ``"um"`` or ``"pixel"``.
    ndim : {2, 3}
        Number of dimensions.
    interval : float or None
        Seconds from a frame to the next; None if it is not known: times are then in frames.

    Examples
    --------
    >>> units = Units("um", 2, 300.0)
    >>> units.speed, units.rate, units.density, units.minutes
    ('um_per_min', 'per_h', 'per_um2', 5.0)
    >>> Units("pixel", 3, None).speed, Units("pixel", 3, None).size
    ('pixel_per_frame', 'pixel3')
    """

    length: str
    ndim: int
    interval: float | None

    @classmethod
    def read(cls, lineage: Lineage) -> Units:
        """Return the units of a lineage."""
        return cls(lineage.cells.unit, lineage.cells.ndim, lineage.provenance.interval)

    @property
    def time(self) -> str:
        """Unit of short times."""
        return "frame" if self.interval is None else "min"

    @property
    def minutes(self) -> float:
        """Short times in a frame: minutes, or 1."""
        return 1.0 if self.interval is None else self.interval / 60

    @property
    def long_time(self) -> str:
        """Unit of long times, such as cell cycles."""
        return "frame" if self.interval is None else "h"

    @property
    def hours(self) -> float:
        """Long times in a frame: hours, or 1."""
        return 1.0 if self.interval is None else self.interval / 3600

    @property
    def speed(self) -> str:
        """Unit of speeds, as in names of columns."""
        return f"{self.length}_per_{self.time}"

    @property
    def diffusion(self) -> str:
        """Unit of diffusion coefficients."""
        return f"{self.length}2_per_{self.time}"

    @property
    def size(self) -> str:
        """Unit of areas in 2D, of volumes in 3D."""
        return f"{self.length}{self.ndim}"

    @property
    def density(self) -> str:
        """Unit of cells per area or volume."""
        return f"per_{self.size}"

    @property
    def rate(self) -> str:
        """Unit of rates over long times."""
        return f"per_{self.long_time}"

    @property
    def shown(self) -> str:
        """Unit of lengths as it is printed.

        >>> Units("um", 2, None).shown
        'µm'
        """
        return self.length.replace("um", "µm")

    @property
    def times(self) -> str:
        """Unit of long times behind a number or on an axis."""
        return "frames" if self.interval is None else self.long_time
