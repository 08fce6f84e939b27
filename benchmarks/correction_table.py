"""The errors after the first edits of the review list, as sentences of ``docs/correct.md``."""

from __future__ import annotations

import json

from record import RESULTS


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
