"""The pictures of the page of ``gnntrack report`` in the documentation: results of simulated movies in a browser.

``python benchmarks/screenshots.py`` writes ``report.png``, ``report-mistakes.png`` and ``report-stack.png`` in
``docs/pictures``. It needs Chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from page import start_browser
from PIL import Image
from record import REPOSITORY

import gnntrack

PICTURES = REPOSITORY / "docs" / "pictures"
UP, ENTER = "\ue00e", "\ue007"  # page up


def main() -> int:
    """Make the pages, and photograph them."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        movie = gnntrack.simulate(
            folder / "movie", seed=2, frames=48, cells=18, shape=(300, 340), clustering=0.3, speed=1.2, photons=300
        )
        options = {"spacing": (0.5, 0.5), "interval": "10min", "pictures": False}
        gnntrack.track(movie.images, movie.masks, out=folder / "movie" / "01_RES", **options)
        write_page(folder / "movie" / "01_RES", movie.images)
        with_faults = leave_out(movie.masks)
        gnntrack.track(movie.images, with_faults, out=folder / "movie" / "02_RES", **options)
        write_page(folder / "movie" / "02_RES", movie.images, truth=folder / "movie" / "01_GT")
        stack = gnntrack.simulate(seed=5, frames=12, cells=14, shape=(24, 180, 200), photons=300)
        gnntrack.track(
            stack.images, stack.masks, out=folder / "stack" / "01_RES", spacing=(1, 0.5, 0.5), interval="10min",
            pictures=False,
        )  # fmt: skip
        write_page(folder / "stack" / "01_RES", stack.images)
        photograph(folder / "movie" / "01_RES", "report", keys=["n"])
        photograph(folder / "movie" / "02_RES", "report-mistakes", keys=["l", *"nnnnnnnnn"], dark=True)
        photograph(folder / "stack" / "01_RES", "report-stack", keys=[UP, "g", "3" + ENTER])
    return 0


def leave_out(masks: Any) -> np.ndarray:
    """Return masks without some cells, and with some neighbours as one: mistakes of a segmenter."""
    labels = np.stack([np.asarray(frame) for frame in masks])
    random = np.random.default_rng(0)
    for frame in range(4, len(labels), 3):
        present = np.unique(labels[frame])[1:]
        labels[frame][labels[frame] == random.choice(present)] = 0
    for frame in range(20, 26):
        present = np.unique(labels[frame])[1:]
        labels[frame][labels[frame] == present[2]] = present[3]
    return labels


def write_page(result: Path, images: Any, truth: Path | None = None) -> None:
    """Write the page of a result into its folder."""
    gnntrack.write_report(result, result / "report.html", images=images, truth=truth)


def photograph(result: Path, name: str, *, keys: list[str], dark: bool = False) -> None:
    """Write a picture of a page after some keys."""
    driver = start_browser()
    if dark:
        features = [{"name": "prefers-color-scheme", "value": "dark"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get((result / "report.html").as_uri())
    for key in keys:
        driver.switch_to.active_element.send_keys(key)
        time.sleep(0.3)
    time.sleep(1)
    picture = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    driver.quit()
    picture.quantize(160, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    sys.exit(main())
