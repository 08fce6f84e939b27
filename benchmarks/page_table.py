"""The table of ``results/page.json``."""

from __future__ import annotations

import json

from record import RESULTS, format_circumstances, format_table

__all__ = ["format_page"]


def format_page(missing: str) -> str:
    """Return the table of ``results/page.json``, or a text if there is none."""
    file = RESULTS / "page.json"
    if not file.exists():
        return missing
    record = json.loads(file.read_text(encoding="utf-8"))
    head = ["movie", "page", "opens in", "click", "slowest click", "plays", "making / tracking"]
    rows = [
        [
            f"{row['movie']}: {', '.join(row['facts'][:3])}",
            f"{row['size_mb']:.1f} MB",
            f"{row['open_s']:.1f} s",
            f"{row['click_p50_ms']:.0f} ms",
            f"{row['click_max_ms']:.0f} ms",
            f"{row['frames_per_s']:.0f} frames/s",
            f"{row['making_ratio']:.1f}",
        ]
        for row in record["rows"]
    ]
    return f"{format_table(head, rows)}\n\n{format_circumstances(record)}"
