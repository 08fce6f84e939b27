"""Read mutations of small valid files with every reader, and count the inputs that end in anything but a clear error.

``python benchmarks/fuzz.py --count 20000`` (``make fuzz``) writes results/fuzz.json and .md. Each reader runs in a
process of its own, so that one that hangs or dies costs one input. An input is made from its reader, the seed and its
number, and ``--reader NAME --number N`` makes it again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from fuzz_inputs import LONGEST, MOST_MEMORY, Mutation, Target, make_targets, run_input
from record import RESULTS, describe_run, format_page, write_record

_FAULTS = ("slow", "large", "hangs", "deaths")
_PATIENCE = 60.0  # seconds without an answer of a process, which may still be importing


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000, help="inputs of all readers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", help="only this reader")
    parser.add_argument("--number", type=int, help="only this input, with the traceback of its exception")
    parser.add_argument("--out", type=Path, default=RESULTS / "fuzz.json")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker is not None or args.number is not None:
        run_worker(args.reader, args.seed, args.number or args.worker or 0, args.count, once=args.number is not None)
        return
    with tempfile.TemporaryDirectory() as folder:
        names = [args.reader] if args.reader else list(make_targets(Path(folder)))
    record = {**describe_run(), "seed": args.seed, "limits": {"seconds": LONGEST, "bytes": MOST_MEMORY}, "rows": []}
    for name in names:
        record["rows"].append(run_reader(name, args.seed, -(-args.count // len(names))))
        write_record(args.out, record, format_rows(record))
    print(format_rows(record))


def draw_mutations(name: str, seed: int, number: int) -> list[Mutation]:
    """Return the mutations of an input."""
    rng = random.Random(f"{name} {seed} {number}")
    return [(rng.randrange(8), rng.random(), rng.randrange(1 << 20)) for _ in range(rng.choice((1, 1, 2, 3, 6)))]


def run_worker(name: str, seed: int, first: int, count: int, *, once: bool) -> None:
    """Read the inputs of a reader from a number on, and print a line of JSON after each."""
    with tempfile.TemporaryDirectory() as folder:
        target = make_targets(Path(folder, "valid"))[name]
        run_input(target, [], Path(folder, "first"))  # the imports of the reader count for no input
        for number in range(first, first + 1 if once else count):
            place = Path(folder, "input")
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            print(json.dumps(_run_one(target, name, seed, number, place, once=once)), flush=True)


def _run_one(target: Target, name: str, seed: int, number: int, place: Path, *, once: bool) -> dict[str, Any]:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    error = run_input(target, draw_mutations(name, seed, number), place)
    seconds = time.process_time() - start  # of all threads; other programs of the machine do not count
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if once and error is not None:
        traceback.print_exception(error)
    kind = None
    if error is not None:
        at = traceback.extract_tb(error.__traceback__)
        own = [each for each in at if "/gnntrack/" in each.filename] or at
        kind = f"{type(error).__name__} in {Path(own[-1].filename).name}, {own[-1].name}: {str(error)[:80]}"
    return {"number": number, "seconds": round(seconds, 3), "bytes": more, "error": kind}


def run_reader(name: str, seed: int, count: int) -> dict[str, Any]:
    """Return the figures of a reader; its process is started again after an input that ends it."""
    row: dict[str, Any] = {
        "reader": name,
        "inputs": count,
        "errors": {},
        "slow": [],
        "large": [],
        "hangs": [],
        "deaths": [],
    }
    errors: Counter[str] = Counter()
    examples: dict[str, int] = {}
    slowest, done = 0.0, 0
    while done < count:
        for answer in _read_answers(name, seed, done, count):
            if isinstance(answer, str):
                row[answer].append(done)
                done += 1
                break
            done = answer["number"] + 1
            slowest = max(slowest, answer["seconds"])
            row["slow"] += [answer["number"]] if answer["seconds"] > LONGEST else []
            row["large"] += [answer["number"]] if answer["bytes"] > MOST_MEMORY else []
            if answer["error"] is not None:
                errors[answer["error"]] += 1
                examples.setdefault(answer["error"], answer["number"])
    row["errors"] = {error: [times, examples[error]] for error, times in errors.most_common()}
    print(f"{name}: {count} inputs, {sum(errors.values())} other errors, {len(row['hangs'])} hangs", file=sys.stderr)
    return {**row, "slowest": slowest}


def _read_answers(name: str, seed: int, first: int, count: int) -> Any:
    """Yield the answers of a process, and ``"hangs"`` or ``"deaths"`` if it does not answer or ends."""
    command = [
        sys.executable,
        __file__,
        "--worker",
        str(first),
        "--reader",
        name,
        "--seed",
        str(seed),
        "--count",
        str(count),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ, text=True)
    assert process.stdout is not None
    last = first - 1
    try:
        while last < count - 1:
            ready, _, _ = select.select([process.stdout], [], [], _PATIENCE)
            line = process.stdout.readline() if ready else None
            if not line:
                yield "hangs" if line is None else "deaths"
                return
            answer = json.loads(line)
            last = answer["number"]
            yield answer
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def format_rows(record: dict[str, Any]) -> str:
    """Return the record as a page."""
    about = (
        "Mutations of small valid files; each must be read, or refused by an error that gnntrack raises on purpose, "
        f"within {record['limits']['seconds']:g} s of processor time and {record['limits']['bytes'] / 1e9:g} GB. "
        f"A process without an answer for {_PATIENCE:g} s is ended."
    )
    head = ["reader", "inputs", "other errors", "slower", "larger", "no answer", "dead process", "slowest"]
    rows = []
    for row in record["rows"]:
        counts = [row["inputs"], sum(times for times, _ in row["errors"].values())]
        counts += [len(row[k]) for k in ("slow", "large", "hangs", "deaths")]
        rows.append([row["reader"], *map(str, counts), f"{row['slowest']:.2f} s"])
    return format_page("Damaged inputs of every reader", record, about, head, rows)


if __name__ == "__main__":
    main()
