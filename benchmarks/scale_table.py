"""Tables and picture of `scale.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from record import format_circumstances, format_table
from scale_model import CLUSTERS, Costs, collect_costs, find_largest, predict

Row = Mapping[str, Any]

DASK = "gnntrack on Dask"
"""Method of the rows whose workers are those of a local scheduler of Dask."""
OURS = ("gnntrack", DASK)
TITLES = {"points": "points", "masks": "masks", "images": "masks and images", "gnn": "masks and images, `gnn`"}
SCALE_TABLES = {
    "scale-stages": lambda record: format_stages(record["rows"]),
    "scale-exponents": lambda record: format_exponents(record["rows"]),
    "scale-accuracy": lambda record: format_accuracy(record["rows"]),
    "scale-workers": lambda record: format_workers(record["rows"]),
    "scale-peers": lambda record: format_others(record["rows"]),
    "scale-model": lambda record: format_model(record),
}
"""Tables of the pages by name."""
_COLOURS = {"points": "#1b6ca8", "masks": "#2a9d55", "images": "#d07c1c", "gnn": "#a03a7a"}
_PEER_COLOURS = {"laptrack": "#777777", "trackpy": "#999933", "motile": "#bb4444", "koft": "#555588"}


def format_markdown(record: Row) -> str:
    """Return the tables of a record with its circumstances."""
    tables = [make(record) for make in SCALE_TABLES.values()]
    parts = ["# Scale of `gnntrack track`", format_circumstances(record), *tables]
    return "\n\n".join(part for part in parts if part)


def format_stages(rows: Iterable[Row]) -> str:
    """Return the table of time and memory by stage, of runs with one worker."""
    ours = _select(rows, method="gnntrack", workers=1)
    names = list(dict.fromkeys(name for row in ours for name in row.get("stages", {})))
    lines = []
    for row in ours:
        start = [TITLES[row["kind"]], f"{row['cells']:,}"]
        if "failed" in row:
            lines.append([*start, row["failed"].split(":")[0], *[""] * (4 + len(names))])
            continue
        per_cell = 1e6 * row["cpu_seconds"] / row["cells"]
        lines.append(
            [
                *start,
                f"{row['seconds']:.0f}",
                f"{row['cpu_seconds']:.0f}",
                f"{per_cell:.0f}",
                f"{row['peak_mb'] / 1000:.2f}",
                f"{row['output_bytes'] / 1e6:.0f}",
                *(_format_stage(row["stages"].get(name)) for name in names),
            ]
        )
    head = ["movie", "cells", "time, s", "processor, s", "us a cell", "memory, GB", "result, MB"]
    return format_table([*head, *(f"{name}, s" for name in names)], lines) if lines else ""


def _format_stage(stage: Row | None) -> str:
    return "" if stage is None else f"{stage['cpu_seconds']:.1f}"


def fit_exponent(cells: Sequence[float], values: Sequence[float]) -> float | None:
    """Return the slope of a line through the logarithms.

    >>> fit_exponent([1e4, 1e5, 1e6], [1.0, 10.0, 100.0])
    1.0
    """
    if len(cells) < 2 or min(values) <= 0:
        return None
    return round(float(np.polyfit(np.log(cells), np.log(values), 1)[0]), 3)


def list_exponents(rows: Iterable[Row], least: float = 5e4) -> dict[str, dict[str, float | None]]:
    """Return the exponents of processor time of each kind, in all and of each stage, from movies that are not tiny."""
    found: dict[str, dict[str, float | None]] = {}
    for kind in TITLES:
        own = [row for row in _select(rows, method="gnntrack", workers=1, kind=kind) if "stages" in row]
        own = [row for row in own if row["cells"] >= least]
        if len(own) < 2:
            continue
        cells = [row["cells"] for row in own]
        stages = [name for name in own[0]["stages"] if all(name in row["stages"] for row in own)]
        found[kind] = {"all": fit_exponent(cells, [row["cpu_seconds"] for row in own])}
        for name in stages:
            found[kind][name] = fit_exponent(cells, [row["stages"][name]["cpu_seconds"] for row in own])
    return found


def format_exponents(rows: Iterable[Row]) -> str:
    """Return a sentence for each kind."""
    lines = []
    for kind, values in list_exponents(rows).items():
        parts = ", ".join(
            f"{name} {value:.2f}" for name, value in values.items() if value is not None and name != "all"
        )
        stages = f" ({parts})" if parts else ""
        lines.append(
            f"- {TITLES[kind]}: processor time grows with the number of cells to the {values['all']:.2f}{stages}."
        )
    return "\n".join(lines)


def format_accuracy(rows: Iterable[Row]) -> str:
    """Return the table of accuracy of our runs and those of peers, with their times."""
    done = [row for row in rows if "links_found" in row and row["workers"] == 1 and row["method"] != DASK]
    lines = [
        [
            f"`{row['method']}`" if row["method"] != "gnntrack" else "gnntrack",
            TITLES[row["kind"]],
            f"{row['cells']:,}",
            f"{row['links_found']:.4f}",
            f"{row['links_right']:.4f}",
            f"{row['division_f1'] or 0:.3f}",
        ]
        for row in sorted(done, key=lambda row: (row["size"], row["kind"], row["method"] != "gnntrack"))
    ]
    head = ["method", "movie", "cells", "links found", "links right", "divisions F1"]
    return format_table(head, lines) if lines else ""


def format_workers(rows: Iterable[Row]) -> str:
    """Return the table of runs with several workers, as ratios to one."""
    lines = []
    for row in [*_select(rows, method="gnntrack"), *_select(rows, method=DASK)]:
        one = next(iter(_select(rows, method=row["method"], kind=row["kind"], size=row["size"], workers=1)), None)
        if row["workers"] > 1 and "failed" not in row:
            alone = "" if one is None or "failed" in one else f"{one['seconds'] / row['seconds']:.2f}"
            title = TITLES[row["kind"]] + (", Dask" if row["method"] == DASK else "")
            start = [title, f"{row['cells']:,}", str(row["workers"])]
            times = [f"{row[name]:.0f}" for name in ("seconds", "cpu_seconds")]
            lines.append([*start, *times, alone, f"{row['peak_mb'] / 1000:.2f}", f"{row['links_found']:.4f}"])
    head = ["movie", "cells", "workers", "time, s", "processor, s", "times as fast as one", "memory, GB", "links found"]
    return format_table(head, lines) if lines else ""


def format_others(rows: Iterable[Row]) -> str:
    """Return the table of the peers."""
    lines = []
    for row in (row for row in rows if row["method"] not in OURS):
        ours = next(iter(_select(rows, method="gnntrack", kind=row["kind"], size=row["size"], workers=1)), None)
        start = [f"`{row['method']}`", TITLES[row["kind"]], f"{row['cells']:,}"]
        if "failed" in row:
            lines.append([*start, row["failed"].split(":")[0], "", "", ""])
            continue
        ratio = "" if ours is None or "failed" in ours else f"{row['cpu_seconds'] / ours['cpu_seconds']:.1f}"
        memory = f"{row['peak_mb'] / 1000:.2f}"
        lines.append([*start, f"{row['seconds']:.0f}", f"{row['cpu_seconds']:.0f}", ratio, memory])
    head = ["peer", "movie", "cells", "time, s", "processor, s", "of gnntrack's", "memory, GB"]
    return format_table(head, lines) if lines else ""


def format_model(record: Row) -> str:
    """Return the predicted hours of larger movies of points on clusters, with the assumptions."""
    row = find_largest(record["rows"], "points")
    if row is None:
        return ""
    costs = collect_costs(row)
    lines = []
    for cells in (1e7, 1e8, 1e9):
        for cluster in CLUSTERS:
            parts = predict(costs, cells, cluster)
            hours = [f"{value / 3600:.2f}" for value in parts.values()]
            lines.append([f"{cells:,.0f} points, {cluster['name']}", *hours])
    head = ["movie", *(f"{name}, h" for name in predict(costs, 1e7, CLUSTERS[0]))]
    return f"{_describe_costs(costs, row, record.get('disk'))}\n\n{format_table(head, lines)}"


def _describe_costs(costs: Costs, row: Row, disk: Row | None) -> str:
    text = (
        f"Measured with {row['cells']:,} points: {1e6 * costs.parallel:.0f} us of processor for each in the windows, "
        f"{1e6 * costs.serial:.0f} us in what one process does, and {costs.constant:.0f} s for the scales; "
        f"{costs.input:.0f} bytes of input, {costs.shard:.0f} of shards and {costs.output:.0f} of the result."
    )
    if disk:
        text += f" This machine writes {disk['write_gb_s']:g} GB/s and reads {disk['read_gb_s']:g} GB/s."
    listed = "; ".join(
        f"{each['name']}: {each['workers']} workers, {each['shared_gb_s']:g} GB/s of the file system in all and "
        f"{each['worker_gb_s']:g} GB/s of each worker"
        for each in CLUSTERS
    )
    return f"{text} Assumed: {listed}."


def draw_scale(record: Row, path: Path) -> None:
    """Draw processor time and memory against the number of cells."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    series = [(kind, "gnntrack", TITLES[kind].replace("`", ""), _COLOURS[kind]) for kind in TITLES]
    peers = dict.fromkeys(row["method"] for row in record["rows"] if row["method"] not in OURS)
    series += [
        ("images" if peer == "koft" else "points", peer, peer, _PEER_COLOURS.get(peer, "#888888")) for peer in peers
    ]
    for kind, method, title, colour in series:
        own = [row for row in _select(record["rows"], kind=kind, method=method, workers=1) if "failed" not in row]
        own.sort(key=lambda row: row["cells"])
        if not own:
            continue
        style = {"color": colour, "marker": "o" if method == "gnntrack" else "x", "markersize": 5, "label": title}
        style["linestyle"] = "-" if method == "gnntrack" else "--"
        left.plot([row["cells"] for row in own], [row["cpu_seconds"] for row in own], **style)
        right.plot([row["cells"] for row in own], [row["peak_mb"] / 1000 for row in own], **style)
    left.set(xscale="log", yscale="log", xlabel="cells", ylabel="processor time, s")
    right.set(xscale="log", yscale="log", xlabel="cells", ylabel="largest memory, GB")
    for axes in (left, right):
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    left.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def _select(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    """Return the rows with these values, in order of size."""
    found = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return sorted(found, key=lambda row: (list(TITLES).index(row["kind"]), row["size"], row["workers"]))
