#!/usr/bin/env bash
# napari: a ValueError of a writer plug-in is replaced by the claim that the plug-in is not a valid writer.
#
# Versions: napari 0.9.2, npe2 0.10.0, Python 3.11 or later.
# Setting: a writer finds that a layer cannot be written, and raises an exception that says why.
# Guess: `layers.save(path, plugin=...)` passes the exception on, whatever its type; at least its text is in the warning.
# Seen: TypeError, OSError and others reach the caller. ValueError, which is what most code raises for unsuitable data, does
#   not: nothing is raised, an empty list is returned, and a warning names the plug-in as no valid writer, without the text.
# Output seen:
#   TypeError: raised TypeError: the layer has no column 'frame'
#   OSError: raised OSError: the layer has no column 'frame'
#   ValueError: returned []; warned: Given plugin 'example' is not a valid writer for tracks.txt.
# Remedy: a writer raises another type for what the user shall read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "napari==0.9.2" "npe2==0.10.0"
cd "$folder"
venv/bin/python - > seen.txt <<'PY'
import warnings

import numpy as np
from napari.components import ViewerModel
from npe2 import DynamicPlugin

viewer = ViewerModel()
viewer.add_labels(np.zeros((4, 4), int), name="cells")
for kind in (TypeError, OSError, ValueError):
    with DynamicPlugin("example") as plugin, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")

        @plugin.contribute.writer(filename_extensions=[".txt"], layer_types=["labels"])
        def write(path, data, meta, kind=kind):
            raise kind("the layer has no column 'frame'")

        try:
            text = f"returned {viewer.layers.save('tracks.txt', plugin='example')}"
        except Exception as error:
            text = f"raised {type(error).__name__}: {error}"
        print("; warned: ".join([f"{kind.__name__}: {text}", *(str(warning.message) for warning in seen)]))
PY
cat seen.txt
diff seen.txt - <<'EXPECTED'
TypeError: raised TypeError: the layer has no column 'frame'
OSError: raised OSError: the layer has no column 'frame'
ValueError: returned []; warned: Given plugin 'example' is not a valid writer for tracks.txt.
EXPECTED
echo "the behaviour is as described"
