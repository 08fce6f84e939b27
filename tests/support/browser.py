"""Headless Chromium for the tests of pages; the pages of two small movies."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gnntrack
from gnntrack.report.tree_layout import build_families
from gnntrack.reporting import write_report
from gnntrack.results import load_result
from support.readers import import_reader
from support.required import is_required

__all__ = ["Page", "find_browser", "make_movie", "make_stack", "read_data", "start_browser", "unpack"]


def make_movie(folder: Path) -> Path:
    """Write a simulated movie, its result and the page into a folder; return the folder."""
    made = gnntrack.simulate(folder / "movie", frames=12, cells=14, shape=(200, 260), seed=4)
    np.save(folder / "images.npy", np.stack([np.asarray(frame) for frame in made.images]))
    np.save(folder / "masks.npy", np.stack([np.asarray(frame) for frame in made.masks]))
    gnntrack.track(folder / "images.npy", folder / "masks.npy", out=folder / "01_RES", pictures=False)
    write_report(folder / "01_RES", folder / "report.html", truth=folder / "movie" / "01_GT")
    return folder


def make_stack(folder: Path) -> Path:
    """Write a movie of stacks in the same way."""
    made = gnntrack.simulate(frames=3, cells=5, shape=(12, 80, 90), seed=2)
    gnntrack.track(made.images, made.masks, out=folder / "01_RES", pictures=False)
    write_report(folder / "01_RES", folder / "report.html", images=made.images)
    return folder


def read_data(page: str | Path) -> dict[str, Any]:
    """Return the data that are in a page."""
    text = Path(page).read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])


def unpack(text: str, kind: str) -> np.ndarray:
    """Return a column of the data."""
    return np.frombuffer(base64.b64decode(text), kind)


def find_browser() -> tuple[str, str]:
    """Return the programs of Chromium and chromedriver; without them the test is skipped, in CI it fails."""
    programs = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    program, driver = next(filter(None, programs), None), shutil.which("chromedriver")
    if program is not None and driver is not None:
        return program, driver
    message = "the tests of the page need chromium and chromedriver (apt install chromium chromium-driver)"
    if is_required():
        pytest.fail(message)
    pytest.skip(message)


def start_browser(downloads: Path) -> Any:
    """Return a driver of headless Chromium that saves files in a folder."""
    program, driver = find_browser()
    webdriver = import_reader("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1440,1000")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


class Page:
    """The open page, and where things are on it."""

    def __init__(self, browser, folder, name="report.html", *, lineage=None):
        self.browser = browser
        self.lineage = lineage if lineage is not None else load_result(folder / "01_RES")
        browser.get((folder / name).as_uri())
        assert browser.execute_script("return document.documentElement.dataset.ready") == "true"

    def text(self, name):
        return self.browser.execute_script("return document.getElementById(arguments[0]).textContent", name)

    def box(self, name):
        get = "const b = document.getElementById(arguments[0]).getBoundingClientRect(); return [b.width, b.height]"
        return self.browser.execute_script(get, name)

    def click_at(self, name, x, y):
        """Click a point of an element, in pixels from its upper left corner."""
        from selenium.webdriver import ActionChains

        element = self.browser.find_element("id", name)
        width, height = self.box(name)
        shift = [round(each) for each in (x - width / 2, y - height / 2)]
        ActionChains(self.browser).move_to_element_with_offset(element, *shift).click().perform()

    def click_cell(self, frame, label):
        cells = self.lineage.cells
        y, x = cells.position[int(cells.row_of(frame, label))]
        width, height = self.box("view")
        scale = min(width / cells.shape[1], height / cells.shape[0])
        left, top = (width - cells.shape[1] * scale) / 2, (height - cells.shape[0] * scale) / 2
        self.click_at("view", left + (x + 0.5) * scale, top + (y + 0.5) * scale)

    def click_branch(self, track, frame):
        """Click a track of the tree, which is not scrolled."""
        tracks, offset, lane = self.lineage.tracks, 0.0, {}
        for family in build_families(tracks):
            lane |= {int(tracks.id[row]): offset + family.column[row] for row in family.rows}
            offset += family.width + 0.5
        width, height = self.box("tree")
        step = min(26, max(9, (height - 30) / offset))
        x = 34 + frame / (self.lineage.cells.n_frames - 1) * (width - 46)
        self.click_at("tree", x, 22 + (lane[track] + 0.6) * step)

    def picture(self, name):
        return self.browser.execute_script("return document.getElementById(arguments[0]).toDataURL()", name)

    def press(self, *keys):
        for key in keys:
            self.browser.find_element("tag name", "body").send_keys(key)

    def values(self):
        """Return the values of the selected cell."""
        terms, texts = (self.browser.find_elements("css selector", f"#values {tag}") for tag in ("dt", "dd"))
        return dict(zip([each.text for each in terms], [each.text for each in texts], strict=True))

    def edits(self):
        return [each.text for each in self.browser.find_elements("css selector", "#edits li span")]
