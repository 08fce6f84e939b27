"""Read inputs that atheris makes, guided by the lines of the readers that they reach, and list what ends in an error.

``python benchmarks/fuzz_guided.py --seconds 60`` (``make fuzz-guided``) runs each reader of text for a minute and
writes results/fuzz_guided.json and .md. It needs ``pip install atheris``; where that is missing it says so, and ends.
Inputs that end in an error of another kind than gnntrack's own are kept in the folder that ``--keep`` names.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import re
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from fuzz_inputs import MOST_MEMORY, make_targets, mutate, run_input
from record import RESULTS, describe_run, format_page, write_record

READERS = (
    *("toml", "edits json", "trackmate xml", "points csv", "trackmate csv", "submission csv"),
    *("ctc table", "ome xml", "imagej text", "shaped text", "geff metadata", "model header"),
)
"""Readers in Python, whose lines atheris can follow."""
PATIENCE = 60  # seconds for an input, on a machine that may do other work


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="of each reader")
    parser.add_argument("--reader", choices=READERS, action="append", help="only this reader")
    parser.add_argument("--keep", type=Path, help="folder for the inputs that end in an error")
    parser.add_argument("--out", type=Path, default=RESULTS / "fuzz_guided.json")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed (pip install atheris): the guided fuzzing of the readers is skipped")
        return
    if args.worker:
        run_worker(args.worker, args.seconds, args.keep)
        return
    record: dict[str, Any] = {**describe_run(), "seconds": args.seconds, "rows": []}
    for name in args.reader or READERS:
        record["rows"].append(run_reader(name, args.seconds, args.keep))
        write_record(args.out, record, format_rows(record))
    print(format_rows(record))


def run_reader(name: str, seconds: int, keep: Path | None) -> dict[str, Any]:
    """Run a reader in a process of its own, which libFuzzer ends, and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        kept = keep or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "--worker", name, "--seconds", str(seconds), "--keep", str(kept)]
        finished = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        log = kept / f"{name.replace(' ', '_')}.jsonl"
        faults = [json.loads(line)["fault"] for line in log.read_text().splitlines()] if log.exists() else []
    told = finished.stderr
    count, reached = (re.findall(rule, told) for rule in (r"number_of_executed_units: (\d+)", r"cov: (\d+)"))
    row = {
        "reader": name,
        "inputs": int(count[-1]) if count else 0,
        "places_first": int(reached[0]) if reached else 0,
        "places": int(reached[-1]) if reached else 0,
        "faults": faults,
        "ended": "in time" if finished.returncode == 0 else told[-400:],
    }
    print(f"{name}: {row['inputs']} inputs, {len(faults)} faults", file=sys.stderr)
    return row


def run_worker(name: str, seconds: int, keep: Path) -> None:
    """Let atheris call a reader; an input of each new kind of fault is written to ``keep`` once."""
    import atheris

    work = Path(tempfile.mkdtemp())
    with atheris.instrument_imports(include=["gnntrack"], enable_loader_override=False):
        target = make_targets(work / "valid")[name]
        run_input(target, [], work / "first")  # the modules of the reader are imported here
    varied, content = next(iter(target.files.items()))
    corpus, place = work / "corpus", work / "input"
    corpus.mkdir()
    place.mkdir()
    (corpus / "valid").write_bytes(content)
    known: set[str] = set()

    def read(data: bytes) -> None:
        error = run_input(target._replace(files={**target.files, varied: data}), [], place)
        if error is None:
            return
        at = [each for each in traceback.extract_tb(error.__traceback__) if "/gnntrack/" in each.filename]
        kind = f"{type(error).__name__} in {Path(at[-1].filename).name}, {at[-1].name}" if at else repr(error)[:80]
        if kind not in known:
            known.add(kind)
            stem = name.replace(" ", "_")
            (keep / f"{stem}-{len(known)}").write_bytes(data)
            with (keep / f"{stem}.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps({"fault": f"{kind}: {str(error)[:100]}"}) + "\n")

    def change(data: bytes, longest: int, seed: int) -> bytes:
        """Return a mutation: of words, numbers and lines in two of three cases, else of bytes as libFuzzer makes it."""
        if seed % 3 == 0:
            return bytes(atheris.Mutate(data, longest))
        rng = random.Random(seed)
        mutations = [(rng.randrange(8), rng.random(), rng.randrange(1 << 20)) for _ in range(rng.choice((1, 1, 2)))]
        return mutate({varied: data}, mutations, text=target.text)[varied][:longest]

    options = [f"-max_total_time={seconds}", f"-timeout={PATIENCE}", f"-rss_limit_mb={MOST_MEMORY * 2 / 1e6:.0f}"]
    options += ["-print_final_stats=1", f"-max_len={max(4096, 2 * len(content))}", f"-artifact_prefix={keep}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], read, custom_mutator=change)
    atheris.Fuzz()


def format_rows(record: dict[str, Any]) -> str:
    """Return the record as a page."""
    about = (
        f"atheris for {record['seconds']} s a reader; inputs must be read, or refused by an error that gnntrack raises "
        f"on purpose, within {PATIENCE} s. Places are branches of gnntrack that were reached, by a valid file and "
        "in the end."
    )
    head = ["reader", "inputs", "places, valid file", "places", "other errors", "ended"]
    rows = []
    for row in record["rows"]:
        counts = [*(row[name] for name in ("inputs", "places_first", "places")), len(row["faults"])]
        rows.append([row["reader"], *map(str, counts), row["ended"] if row["ended"] == "in time" else "early"])
    return format_page("Inputs of the readers, guided by the lines that they reach", record, about, head, rows)


if __name__ == "__main__":
    main()
