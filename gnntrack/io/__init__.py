"""Files in and out, one module per format; each is loaded with its first use.

``frames`` opens movies and masks, ``output`` moves a finished result into place, ``ctc`` reads and
writes results of the Cell Tracking Challenge and ``ctc_validate`` checks them, ``geff`` keeps
graphs and lineages, ``tables`` writes CSV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnntrack.io.ctc import read_ctc, read_track_table, write_ctc
    from gnntrack.io.ctc_validate import validate_ctc
    from gnntrack.io.frames import check_pair, iterate, open_frames, open_masks
    from gnntrack.io.geff import read_graph, read_lineage, write_graph, write_lineage
    from gnntrack.io.output import fresh_output
    from gnntrack.io.tables import lineage_table, track_table, write_csv

_HOME = {
    "check_pair": "frames",
    "fresh_output": "output",
    "iterate": "frames",
    "lineage_table": "tables",
    "open_frames": "frames",
    "open_masks": "frames",
    "read_ctc": "ctc",
    "read_graph": "geff",
    "read_lineage": "geff",
    "read_track_table": "ctc",
    "track_table": "tables",
    "validate_ctc": "ctc_validate",
    "write_csv": "tables",
    "write_ctc": "ctc",
    "write_graph": "geff",
    "write_lineage": "geff",
}

__all__ = [
    "check_pair",
    "fresh_output",
    "iterate",
    "lineage_table",
    "open_frames",
    "open_masks",
    "read_ctc",
    "read_graph",
    "read_lineage",
    "read_track_table",
    "track_table",
    "validate_ctc",
    "write_csv",
    "write_ctc",
    "write_graph",
    "write_lineage",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module 'gnntrack.io' has no attribute '{name}'"
        raise AttributeError(msg)
    return getattr(import_module(f"gnntrack.io.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
