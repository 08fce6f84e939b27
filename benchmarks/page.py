"""The page of ``gnntrack report`` in headless Chromium: size, time to open, answers to clicks, frames per second.

``python benchmarks/page.py`` writes ``results/page.json``. For each movie, tracking and making the page are separate
processes, which run alternately; the ratio is that of their medians. It needs Chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import (
    RESULTS,
    compute_medians,
    describe_run,
    get_default_data,
    run_alternately,
)
from speed import measure_process

MOVIES = {  # name: masks; goals: MB, seconds to open, milliseconds for a click
    "Fluo-N2DL-HeLa 01": ("01_ERR_SEG", (25, 2, 100)),
    "PhC-C2DL-PSC 01": ("01_ST/SEG", (60, 5, 150)),
}
SIMULATED = "simulated, 4000 tracks"
FRAME_RATE, MAKING = 15, 2.0  # goals: frames per second, time of making / time of tracking
OPENINGS, CLICKS, SECONDS = 3, 40, 6
TIMING = """
window.answers = [];
for (const kind of ["pointerup", "click"]) {
  window.addEventListener(kind, (event) => {
    if (kind === "click" && event.target.id !== "tree") return;
    if (kind === "pointerup" && event.target.id === "tree") return;
    const start = event.timeStamp;  // of the input, before the page has seen it
    requestAnimationFrame(() => { setTimeout(() => window.answers.push(performance.now() - start)); });
  }, true);
}
"""
COUNTING = """
window.shown = [];
new MutationObserver(() => window.shown.push(performance.now())).observe(
  document.getElementById("clock"), { childList: true, characterData: true, subtree: true });
"""


def main() -> int:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="part of the name of a movie")
    parser.add_argument("--out", type=Path, default=RESULTS / "page.json")
    args = parser.parse_args()
    record = {**describe_run(), "rounds": args.rounds, "rows": []}
    with tempfile.TemporaryDirectory() as folder:
        for name in (name for name in (*MOVIES, SIMULATED) if args.only in name):
            row = measure_movie(name, args, Path(folder, str(len(record["rows"]))))
            record["rows"].append(row)
            print(json.dumps(row))
    record["versions"]["chromium"] = record["rows"][0]["chromium"] if record["rows"] else None
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0 if all(goal["met"] for row in record["rows"] for goal in row["goals"]) else 1


def _time_command(*words: Any) -> float:
    seconds: float = measure_process(sys.executable, "-m", "gnntrack", *words)["seconds"]
    return seconds


def measure_movie(name: str, args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Return the figures of a movie."""
    if name == SIMULATED:
        words = ("--frames", 200, "--cells", 700, "--shape", "1000,1000", "--diameter", 12, "--no-images", "--seed", 3)
        measure_process(sys.executable, "-m", "gnntrack", "simulate", "-o", work / "movie", *words)
        inputs: tuple[Any, ...] = ("--masks", work / "movie" / "01_GT" / "TRA")
        goals: tuple[float, ...] = (60, 5, 150)
    else:
        home, movie = args.data / name.split()[0], name.split()[1]
        masks, goals = MOVIES[name]
        inputs = (home / movie, home / masks)
    result, page = work / "01_RES", work / "report.html"
    works = {
        "tracking": lambda: _time_command("track", *inputs, "-o", result, "--overwrite"),
        "making": lambda: _time_command("report", result, "-o", page, "--overwrite"),
    }
    seconds = compute_medians(run_alternately(works, args.rounds))
    data = read_data(page)
    row = {
        "movie": name,
        "facts": data["facts"],
        "size_mb": round(page.stat().st_size / 1e6, 2),
        "tracking_s": round(seconds["tracking"], 2),
        "making_s": round(seconds["making"], 2),
        "making_ratio": round(seconds["making"] / seconds["tracking"], 2),
        **measure_page(page, data),
    }
    limits = {"size_mb": goals[0], "open_s": goals[1], "click_p50_ms": goals[2], "click_max_ms": goals[2]}
    limits["making_ratio"] = MAKING
    row["goals"] = [{"figure": key, "at_most": limit, "met": row[key] <= limit} for key, limit in limits.items()]
    row["goals"].append({"figure": "frames_per_s", "at_least": FRAME_RATE, "met": row["frames_per_s"] >= FRAME_RATE})
    return row


def read_data(page: Path) -> dict[str, Any]:
    """Return the data that are in a page."""
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    if found is None:
        sys.exit(f"{page}: no data in it")
    data: dict[str, Any] = json.loads(found[1])
    return data


def measure_page(page: Path, data: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a page in the browser."""
    openings = []
    for _ in range(OPENINGS):  # each in a browser of its own
        driver = start_browser()
        driver.get(page.as_uri())
        marks = "return [performance.getEntriesByName('ready')[0].startTime, performance.getEntriesByName('drawn')"
        ready, drawn = driver.execute_script(f"{marks}[0]?.startTime ?? null]")
        openings.append(max(ready, drawn or 0) / 1000)
        if len(openings) < OPENINGS:
            driver.quit()
    answers = click_cells(driver, data)
    rate = play_movie(driver)
    chromium = driver.capabilities["browserVersion"]
    driver.quit()
    return {
        "open_s": round(statistics.median(openings), 3),
        "click_p50_ms": round(statistics.median(answers), 1),
        "click_max_ms": round(max(answers), 1),
        "clicks": len(answers),
        "frames_per_s": round(rate, 1),
        "chromium": chromium,
    }


def start_browser() -> Any:
    """Return headless Chromium."""
    from selenium import webdriver

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        sys.exit("this program needs chromium and chromedriver (apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1440,1000",
    ):
        options.add_argument(word)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def click_cells(driver: Any, data: dict[str, Any]) -> list[float]:
    """Click cells of the movie and places of the tree in turn; return the milliseconds to the next drawn frame."""
    driver.execute_script(TIMING)
    first, x, y = (
        np.frombuffer(base64.b64decode(data["cells"][name]), kind)
        for name, kind in (("first", "<i4"), ("x", "<f4"), ("y", "<f4"))
    )
    boxes = {name: find_box(driver, name) for name in ("view", "tree")}
    height, width = data["shape"][-2:]
    random = np.random.default_rng(0)
    for k in range(CLICKS):
        left, top, wide, high = boxes["view" if k % 2 == 0 else "tree"]
        if k % 2 == 0:
            frame = int(driver.execute_script("return Number(document.getElementById('time').value)"))
            row = int(random.integers(first[frame], max(first[frame] + 1, first[frame + 1])))
            scale = min(wide / width, high / height)
            at = (
                (wide - width * scale) / 2 + (x[row] + 0.5) * scale,
                (high - height * scale) / 2 + (y[row] + 0.5) * scale,
            )
        else:
            at = (random.uniform(40, wide - 20), random.uniform(30, high - 5))
        press_mouse(driver, left + at[0], top + at[1])
        time.sleep(0.25)
    answers: list[float] = driver.execute_script("return window.answers")
    if len(answers) < CLICKS:
        sys.exit(f"{len(answers)} of {CLICKS} clicks were answered")
    return answers


def find_box(driver: Any, name: str) -> list[float]:
    """Return left, top, width and height of an element in the window."""
    get = (
        "const b = document.getElementById(arguments[0]).getBoundingClientRect(); return [b.x, b.y, b.width, b.height]"
    )
    box: list[float] = driver.execute_script(get, name)
    return box


def press_mouse(driver: Any, x: float, y: float) -> None:
    """Click a point of the window."""
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        event = {"type": kind, "x": float(x), "y": float(y), "button": "left", "clickCount": 1}
        driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)


def play_movie(driver: Any) -> float:
    """Play the movie at 30 frames per second; return the frames per second that are shown."""
    driver.execute_script(COUNTING)
    driver.execute_script("document.getElementById('rate').value = '30'")
    driver.execute_script("document.getElementById('play').click()")
    time.sleep(SECONDS)
    shown: list[float] = driver.execute_script("return window.shown")
    driver.execute_script("document.getElementById('play').click()")
    return 1000 * (len(shown) - 1) / (shown[-1] - shown[0]) if len(shown) > 1 else 0.0


if __name__ == "__main__":
    sys.exit(main())
