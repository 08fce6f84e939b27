"""The worth of corrections, and of training on them, as sentences and a table of ``docs/correct.md``."""

from __future__ import annotations

import json

from record import RESULTS, format_table


def describe_corrections() -> str:
    """Return a sentence for each method on N2DL-HeLa, from ``results/corrections.json``."""
    record = json.loads((RESULTS / "corrections.json").read_text(encoding="utf-8"))
    sentences = []
    for row in record["rows"]:
        if "HeLa" in row["sequence"] and row["twin"] == "plain":
            before, after = (1 - row[when]["LNK"] for when in ("before", "after"))
            sentences.append(
                f"- {row['sequence']}, `{row['method']}`: after the first {record['edits']} edits of the review list, "
                f"{row['edits'].get('confirm', 0)} of them confirmations, the linking error (1 - LNK) is {after:.4f}, "
                f"not {before:.4f}, {row['fall']:.1%} less; with corrections in place of confirmations it is "
                f"{row['fall_without_confirmations']:.1%} less."
            )
    return "\n".join(sentences)


def describe_retraining() -> str:
    """Return the table of errors after training on corrections, from ``results/retrained.json``, and its summary."""
    record = json.loads((RESULTS / "retrained.json").read_text(encoding="utf-8"))
    rows = record["rows"]
    errors = ("hungarian", "weighted", "unweighted")
    lines = [
        [f"{row['corrected']}, {row['edits']} edits", row["tracked"], *(f"{row[name]:.5f}" for name in errors)]
        for row in rows
    ]
    head = ["corrected", "tracked", "`hungarian`, 1 - LNK", "trained on the edits", "all cells with the same weight"]
    gains = [1 - row["weighted"] / row["hungarian"] for row in rows]
    worse, less = (sum(sign * row["unweighted"] > sign * row["hungarian"] for row in rows) for sign in (1, -1))
    better = sum(gain > 0 for gain in gains)
    told = (
        f"The network trained on the edits has less error than `hungarian` in {better} of {len(rows)} cases, between "
        f"{min(gains):.0%} and {max(gains):.0%} less. "
        f"Without the weights of the edits it has more in {worse} and less in {less}."
    )
    return f"{format_table(head, lines)}\n\n{told}"
