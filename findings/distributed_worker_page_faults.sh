#!/usr/bin/env bash
# distributed: a worker under a nanny takes new pages for each large numpy array, a plain process reuses them (Linux, glibc).
#
# Versions: distributed 2026.8.0, numpy 2.4.6, Python 3.11 or later.
# Setting: the same function, which makes and frees arrays of 8 MB 300 times, in a worker of a local cluster and in a process.
# Guess: a task runs in the worker as in any process, but for the start of the worker and a small cost of each task.
# Seen: the nanny sets MALLOC_TRIM_THRESHOLD_ for its workers, so that memory is returned to the system early. glibc then
#   does not adapt its thresholds either, and each array is mapped and filled with zeros again: hundreds of times the page
#   faults. A long task of numpy took twice the processor time.
# Output seen:
#   plain process: few faults
#   worker: many faults
#   worker, pre-spawn-environ without MALLOC_TRIM_THRESHOLD_: few faults
# Remedy: dask.config.set({"distributed.nanny.pre-spawn-environ": {...}}) before the cluster is started.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "distributed==2026.8.0" "numpy==2.4.6"
cd "$folder"
cat > work.py <<'PY'
import resource

import numpy as np


def count_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(300):
        np.ones(1_000_000).sum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def describe(faults):
    return "many faults" if faults > 100_000 else "few faults"
PY
cat > run.py <<'PY'
import logging
import sys

import dask
from distributed import Client, LocalCluster
from work import count_faults, describe


def run_on_worker():
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": logging.CRITICAL}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        return describe(client.submit(count_faults).result())


if __name__ == "__main__":
    if sys.argv[1] == "plain":
        print("plain process:", describe(count_faults()))
    elif sys.argv[1] == "worker":
        print("worker:", run_on_worker())
    else:
        with dask.config.set({"distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": "1"}}):
            print("worker, pre-spawn-environ without MALLOC_TRIM_THRESHOLD_:", run_on_worker())
PY
for way in plain worker changed; do PYTHONPATH=. venv/bin/python -W ignore run.py "$way"; done > seen.txt
cat seen.txt
diff seen.txt - <<'EXPECTED'
plain process: few faults
worker: many faults
worker, pre-spawn-environ without MALLOC_TRIM_THRESHOLD_: few faults
EXPECTED
echo "the behaviour is as described"
