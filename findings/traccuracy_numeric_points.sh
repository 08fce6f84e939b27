#!/usr/bin/env bash
# traccuracy: a table of points with integer ids loads only if some other column holds text.
#
# Versions: traccuracy 0.4.3, pandas 2.3.3, Python 3.11 or later.
# Setting: tracks as a table with a row per cell: id, id of the parent, frame, position. Ids are int64, positions float64.
# Guess: `load_point_data` checks the types of the columns, so integer ids are accepted beside float positions.
# Seen: rows are taken as pandas Series, in which one type holds all values: the ids become floats, and are refused as
#   not being integers. A column that it never reads, if it holds text, turns the rows into objects and so keeps the integers.
# Output seen:
#   int64 ids, float64 positions: AssertionError: Node id of node 1.0 is not an integer
#   the same and a column of text: 2 nodes, 1 edge
# Remedy: add a column of text, or load another format.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "traccuracy==0.4.3" "pandas==2.3.3"
cd "$folder"
venv/bin/python -W ignore - > seen.txt <<'PY'
import pandas as pd
from traccuracy.loaders import load_point_data

table = pd.DataFrame(
    {"node_id": [1, 2], "parent": [-1, 1], "t": [0, 1], "z": [0.0, 0.0], "y": [0.5, 0.5], "x": [1.0, 2.0]}
)
for name, given in (
    ("int64 ids, float64 positions", table),
    ("the same and a column of text", table.assign(note="cell")),
):
    try:
        graph = load_point_data(df=given).graph
        print(f"{name}: {graph.number_of_nodes()} nodes, {graph.number_of_edges()} edge")
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}")
PY
cat seen.txt
diff seen.txt - <<'EXPECTED'
int64 ids, float64 positions: AssertionError: Node id of node 1.0 is not an integer
the same and a column of text: 2 nodes, 1 edge
EXPECTED
echo "the behaviour is as described"
