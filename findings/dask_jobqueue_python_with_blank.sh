#!/usr/bin/env bash
# dask-jobqueue: the job script does not quote the path of Python, so that an environment in a folder with a blank starts no worker.
#
# Versions: dask-jobqueue 0.9.0, distributed 2026.8.0, Python 3.11 or later.
# Setting: a virtual environment in a folder "my venv"; the job script of SLURMCluster, which is a text, and no SLURM is needed.
# Guess: the line of the worker is made for a shell, so the path is quoted as by shlex.
# Seen: the path is written as it is. The shell runs its part before the blank, the job ends at once, and the cluster waits on for workers.
# Output seen:
#   first word is the Python of this environment: False
#   quoted with the setting python: True
# Remedy: SLURMCluster(python=shlex.quote(sys.executable)).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/my venv"
python="$folder/my venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check "dask-jobqueue==0.9.0" "distributed==2026.8.0"
cd "$folder"
cat > run.py <<'PY'
import logging
import shlex
import sys

from dask_jobqueue import SLURMCluster


def find_first_word(**options):
    local = {"host": "127.0.0.1", "dashboard_address": None}
    cluster = SLURMCluster(cores=1, memory="1GB", scheduler_options=local, silence_logs=logging.CRITICAL, **options)
    with cluster:
        line = next(each for each in cluster.job_script().splitlines() if "dask_worker" in each)
    return shlex.split(line)[0]


if __name__ == "__main__":
    print("first word is the Python of this environment:", find_first_word() == sys.executable)
    quoted = find_first_word(python=shlex.quote(sys.executable))
    print("quoted with the setting python:", quoted == sys.executable)
PY
"$python" run.py > seen.txt
cat seen.txt
diff seen.txt - <<'EXPECTED'
first word is the Python of this environment: False
quoted with the setting python: True
EXPECTED
echo "the behaviour is as described"
