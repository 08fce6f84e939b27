#!/usr/bin/env bash
# lazy_loader: an alias in a stub is known to the type checker, but not to the running package.
#
# Versions: lazy-loader 0.6, mypy 2.4.1, Python 3.11 or later.
# Setting: a package re-exports its functions lazily with `lazy_loader.attach_stub`, which reads the names from
#   `__init__.pyi`. The stub says `from .area import measure as measure_area`, as any module could.
# Guess: the package has the attribute `measure_area`, and no attribute `measure`, as Python and PEP 484 read this line.
# Seen: the package has `measure` and no `measure_area`. mypy reads the same stub in the other way, so it accepts the
#   call that fails and rejects the call that works.
# Output seen:
#   all ['UNIT', 'measure']
#   measure 1.0
#   measure_area AttributeError
#   mypy rejects measure: True, measure_area: False
# Remedy: in a stub for attach_stub use only aliases that repeat the name (`from .area import UNIT as UNIT`), and give
#   the function its public name where it is defined.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "lazy-loader==0.6" "mypy==2.4.1"
cd "$folder"
mkdir shapes
cat > shapes/__init__.py <<'PY'
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
PY
cat > shapes/__init__.pyi <<'PY'
from .area import UNIT as UNIT
from .area import measure as measure_area

__all__ = ["UNIT", "measure_area"]
PY
cat > shapes/area.py <<'PY'
UNIT = "um2"


def measure() -> float:
    return 1.0
PY
cat > use.py <<'PY'
import shapes

shapes.measure_area()
shapes.measure()
PY
venv/bin/python - > seen.txt <<'PY'
import shapes

print("all", shapes.__all__)
for name in ("measure", "measure_area"):
    try:
        print(name, getattr(shapes, name)())
    except AttributeError as error:
        print(name, type(error).__name__)
PY
venv/bin/mypy use.py > mypy.txt || true
rejects() { grep -q "use.py:$1: error" mypy.txt && echo True || echo False; }
echo "mypy rejects measure: $(rejects 4), measure_area: $(rejects 3)" >> seen.txt
cat seen.txt
diff seen.txt - <<'EXPECTED'
all ['UNIT', 'measure']
measure 1.0
measure_area AttributeError
mypy rejects measure: True, measure_area: False
EXPECTED
echo "the behaviour is as described"
