"""The page of a result: what is in the file, and what a browser does with it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.draw import polygon2mask
from test_cli import run

import gnntrack
from gnntrack.errors import InputError, OutputError
from gnntrack.io.stack import Stack
from gnntrack.report.outlines import decode_numbers, encode_numbers, encode_outlines, encode_plane
from gnntrack.report.pictures import encode_movie
from gnntrack.report.tree_layout import build_families
from gnntrack.report.web import PageContent, make_page
from gnntrack.reporting import write_report
from gnntrack.results import load_result


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """Simulated movie with its result, and the page."""
    folder = tmp_path_factory.mktemp("page")
    made = gnntrack.simulate(folder / "movie", frames=12, cells=14, shape=(200, 260), seed=4)
    np.save(folder / "images.npy", np.stack([np.asarray(frame) for frame in made.images]))
    np.save(folder / "masks.npy", np.stack([np.asarray(frame) for frame in made.masks]))
    gnntrack.track(folder / "images.npy", folder / "masks.npy", out=folder / "01_RES", pictures=False)
    write_report(folder / "01_RES", folder / "report.html", truth=folder / "movie" / "01_GT")
    return folder


def read_data(page):
    text = Path(page).read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def unpack(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


# --------------------------------------------------------------------------- the file


def test_numbers_are_read_back():
    numbers = np.array([0, 1, 127, 128, 300, 16383, 16384, 2**31 - 1])
    np.testing.assert_array_equal(decode_numbers(encode_numbers(numbers)), numbers)
    assert decode_numbers(encode_numbers(numbers[:0])).tolist() == []


def read_contours(encoded, count):
    numbers, at, cells = decode_numbers(encoded).tolist(), 0, []
    for _ in range(count):
        contours, at = [], at + 1
        for _ in range(numbers[at - 1]):
            n, at = numbers[at], at + 1
            steps = np.array(numbers[at : at + 2 * n]).reshape(-1, 2)
            contours.append(np.cumsum((steps >> 1) ^ -(steps & 1), axis=0))
            at += 2 * n
        cells.append(contours)
    assert at == len(numbers)
    return cells


def test_outlines_enclose_the_cells(movie):
    masks = np.load(movie / "masks.npy")
    for frame in (0, 7):
        labels, rows = np.unique(masks[frame], return_inverse=True)
        rows = rows.reshape(masks[frame].shape)  # 0 = background
        for label, contours in enumerate(read_contours(encode_outlines(rows, 0, len(labels) - 1), len(labels) - 1), 1):
            drawn = np.zeros(rows.shape, bool)
            for contour in contours:
                drawn |= polygon2mask(rows.shape, contour[:, ::-1] + 0.0)
                drawn[contour[:, 1], contour[:, 0]] = True
            missed = drawn ^ (rows == label)
            assert missed.sum() <= 0.12 * (rows == label).sum()


def test_the_cells_of_a_plane_are_read_one_by_one():
    rows = np.zeros((9, 9), np.int64)
    rows[1:4, 1:4], rows[5:8, 2:7], rows[8, 8] = 4, 6, 9
    numbers, at, cell, found = decode_numbers(encode_plane(rows, 2, 8)).tolist(), 1, 0, {}
    for _ in range(numbers[0]):
        cell += numbers[at]
        assert numbers[at + 1] == 1  # contour
        n = numbers[at + 2]
        found[cell] = n
        at += 3 + 2 * n
    assert at == len(numbers)
    assert found == {1: 4, 3: 4, 6: 1}


def test_a_cell_that_is_hidden_and_one_of_one_pixel():
    rows = np.zeros((5, 5), np.int64)
    rows[2, 3] = 2
    hidden, single = read_contours(encode_outlines(rows, 0, 2), 2)
    assert (hidden, single[0].tolist()) == ([], [[3, 2]])


def test_pictures_fit_their_budget():
    images = np.random.default_rng(0).integers(0, 4000, (6, 128, 160)).astype(np.uint16)
    stack = Stack(images.__getitem__, [f"frame {t}" for t in range(6)], (128, 160), (1.0, 1.0), "pixel")
    generous, small = encode_movie(stack), encode_movie(stack, budget=12_000)
    assert (generous.scale, generous.quality) == (1, 80)
    assert sum(map(len, small.frames)) < 14_000
    assert small.scale < 1


def test_all_of_the_page_is_in_the_file(movie):
    page = (movie / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!#|data:)[a-z/.]""", page)
    assert not re.findall(r"https?://|@import|url\(", page)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:;")
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1]
        assert f"{rule} 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy


def test_texts_are_escaped(movie):
    evil = '</script><script>alert("{{DATA}}")</script>'
    lineage = load_result(movie / "01_RES")
    page = make_page(PageContent(evil, lineage, [], notes=[evil]))
    assert page.count("<script>") == 1
    assert page.count("</script>") == 2
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert (data["title"], data["notes"]) == (evil, [evil])


def test_the_data_are_those_of_the_result(movie):
    data, lineage = read_data(movie / "report.html"), load_result(movie / "01_RES")
    assert data["facts"][:2] == ["12 frames", f"{len(lineage.cells)} cells"]
    np.testing.assert_array_equal(unpack(data["cells"]["label"], "<i4"), lineage.cells.label)
    past = unpack(data["cells"]["past"], "<i4")
    np.testing.assert_array_equal(np.flatnonzero(past >= 0), np.sort(lineage.target))
    np.testing.assert_allclose(unpack(data["cells"]["y"], "<f4"), lineage.cells.position[:, 0], rtol=1e-5)
    assert data["tracks"]["id"] == lineage.tracks.id.tolist()
    summary = json.loads((movie / "01_RES" / "gnntrack" / "summary.json").read_text())
    assert data["fingerprint"] == summary["fingerprint"]
    assert data["scores"]["TRA"] > 0.9
    assert [len(data["views"][0][name]) for name in ("outlines", "pictures")] == [12, 12]
    rows = (movie / "01_RES" / "gnntrack" / "review.csv").read_text().splitlines()[1:]
    assert len(data["review"]) == len(rows)
    assert data["notes"] == []


def test_a_page_without_masks_and_images(movie, tmp_path):
    lineage = load_result(movie / "01_RES")
    lineage.to_geff(tmp_path / "lineage.geff")
    printed = run("report", tmp_path / "lineage.geff", "-o", tmp_path / "report.html").stdout
    assert "open it in a browser" in printed
    data = read_data(tmp_path / "report.html")
    assert (data["views"][0]["outlines"], data["views"][0]["pictures"], data["fingerprint"]) == (None, None, None)
    assert "--images" in data["notes"][0]
    assert "--masks" in data["notes"][1]
    write_report(tmp_path / "lineage.geff", tmp_path / "masks.html", masks=movie / "01_RES")
    assert read_data(tmp_path / "masks.html")["views"][0]["outlines"]


def test_images_that_are_gone_or_do_not_fit(movie, tmp_path):
    with pytest.raises(InputError, match=r"the images have 11 frames of .* the result has 12"):
        write_report(movie / "01_RES", tmp_path / "report.html", images=np.load(movie / "images.npy")[1:])
    shutil.copytree(movie / "01_RES", tmp_path / "01_RES")
    file = tmp_path / "01_RES" / "gnntrack" / "summary.json"
    file.write_text(file.read_text().replace("images.npy", "gone.npy"))
    write_report(tmp_path / "01_RES", tmp_path / "report.html")
    assert "gone.npy is not there" in read_data(tmp_path / "report.html")["notes"][0]
    with pytest.raises(OutputError):
        write_report(tmp_path / "01_RES", tmp_path / "report.html")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Simulated movie of stacks with its result, and the page."""
    folder = tmp_path_factory.mktemp("stack")
    made = gnntrack.simulate(frames=3, cells=5, shape=(12, 80, 90), seed=2)
    gnntrack.track(made.images, made.masks, out=folder / "01_RES", pictures=False)
    write_report(folder / "01_RES", folder / "report.html", images=made.images)
    return folder


def test_a_stack_has_projections_and_planes(stack):
    data, lineage = read_data(stack / "report.html"), load_result(stack / "01_RES")
    assert data["shape"] == [12, 80, 90]
    assert len(unpack(data["cells"]["z"], "<f4")) == len(unpack(data["cells"]["x"], "<f4"))
    assert [view["axis"] for view in data["views"]] == ["z", "y", "x"]
    sizes = [Image.open(io.BytesIO(base64.b64decode(view["pictures"][1]))).size for view in data["views"]]
    assert sizes == [(90, 80), (90, 12), (12, 80)]
    assert data["planes"]["z"] == list(range(12))
    assert [len(frame) for frame in data["planes"]["pictures"]] == [12, 12, 12]
    labels = np.asarray(lineage.labels()[1])
    for z in (3, 8):
        numbers = decode_numbers(base64.b64decode(data["planes"]["outlines"][1][z]))
        assert numbers[0] == len(np.unique(labels[z])) - 1
    assert data["notes"] == []


def test_a_result_without_cells(tmp_path):
    gnntrack.track(masks=np.zeros((2, 20, 20), np.uint8), out=tmp_path / "01_RES", pictures=False)
    write_report(tmp_path / "01_RES", tmp_path / "report.html")
    assert read_data(tmp_path / "report.html")["facts"][1] == "0 cells"


# --------------------------------------------------------------------------- the browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="the tests of the page need selenium")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("the tests of the page need chromium and chromedriver (apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1440,1000")
    downloads = tmp_path_factory.mktemp("downloads")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driven = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    driven.downloads = downloads
    yield driven
    driven.quit()


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

    def press(self, *keys):
        for key in keys:
            self.browser.find_element("tag name", "body").send_keys(key)

    def values(self):
        """Return the values of the selected cell."""
        terms, texts = (self.browser.find_elements("css selector", f"#values {tag}") for tag in ("dt", "dd"))
        return dict(zip([each.text for each in terms], [each.text for each in texts], strict=True))

    def edits(self):
        return [each.text for each in self.browser.find_elements("css selector", "#edits li span")]


@pytest.fixture
def page(browser, movie):
    opened = Page(browser, movie)
    yield opened
    problems = [each for each in browser.get_log("browser") if each["level"] in ("SEVERE", "WARNING")]
    assert problems == []
    browser.execute_script("window.onbeforeunload = null")


def test_a_click_on_a_cell_shows_its_numbers(page):
    track = next(track for track in page.lineage if track.start == 0)
    page.click_cell(0, track.id)
    values = page.values()
    assert values["Cell"] == f"label {track.id} in frame 0"
    assert values["Track"].startswith(f"{track.id}, frames 0 to {track.end}")
    x, y = track.positions[0][::-1]
    assert values["x, y"] == f"{x:.1f}, {y:.1f} px"
    page.press("\ue014")  # right arrow: the track is followed
    assert page.values()["Cell"] == f"label {track.id} in frame 1"
    page.press("\ue00c")  # escape
    assert page.values() == {}


def test_a_click_on_a_branch_moves_the_movie(page):
    track = max((track for track in page.lineage if track.daughters), key=lambda track: len(track.frames))
    frame = int(track.frames[len(track.frames) // 2])
    page.click_branch(track.id, frame)
    assert page.text("clock").startswith(f"frame {frame} of 11")
    assert page.values()["Cell"] == f"label {track.labels[len(track.frames) // 2]} in frame {frame}"


def test_the_plots_have_the_axis_of_time_of_the_tree_also_beside_a_scroll_bar(page):
    size = page.browser.get_window_size()
    page.browser.set_window_size(1440, 480)
    get = "return [...document.querySelectorAll('#tree, .plot')].map((each) => each.clientWidth)"
    widths = page.browser.execute_script(get)
    tree = page.box("tree-scroll")[0]
    page.browser.set_window_size(size["width"], size["height"])
    assert len(widths) > 5
    assert set(widths) == {widths[0]}
    assert widths[0] < tree


def test_the_review_list_is_stepped_through_by_keys(page):
    data = read_data(Path(page.browser.current_url.removeprefix("file://")))
    for k in range(min(3, len(data["review"]))):
        page.press("n")
        assert page.text("clock").startswith(f"frame {data['review'][k][2]} of")
    page.press("p")
    current = page.browser.find_elements("css selector", "#review li[aria-current=true]")
    assert len(current) == 1
    assert data["review"][1][4] in current[0].text


def test_edits_are_made_undone_downloaded_and_applied(page, movie, tmp_path):
    first, second, third = [track for track in page.lineage if track.start == 0 and track.end == 11][:3]
    page.press("\ue014", "\ue014", "\ue014")
    page.click_cell(3, first.id)
    page.press("x")
    page.click_cell(3, second.id)
    page.press("s")
    page.press("s")  # the same again
    assert "is the same" in page.text("message")
    assert page.edits() == [
        f"Cut {first.id} in frame 2 → {first.id} in frame 3",
        f"{second.id} in frame 3 is not a cell",
    ]
    page.press("z")
    assert len(page.edits()) == 1
    page.click_cell(3, second.id)
    page.press("j", "\ue014")
    page.click_cell(4, third.id)
    assert page.edits()[1] == f"Join {second.id} in frame 3 → {third.id} in frame 4"
    page.press("\ue012")  # left arrow
    page.click_cell(3, second.id)
    page.press("s")
    assert "edit 2 links cell" in page.text("message")
    page.browser.find_element("id", "download").click()
    file = page.browser.downloads / "edits.json"
    for _ in range(100):
        if file.exists() and file.stat().st_size:
            break
        time.sleep(0.1)
    content = json.loads(file.read_text())
    assert content["edits"] == [
        {"kind": "cut", "cells": [[2, first.id], [3, first.id]]},
        {"kind": "join", "cells": [[3, second.id], [4, third.id]]},
    ]
    printed = run("apply-edits", movie / "01_RES", file, "-o", tmp_path / "02_RES").stdout
    assert "2 kept, 0 refused" in printed
    file.unlink()


def test_a_division_is_made_of_two_clicks(page):
    first, second = [track for track in page.lineage if track.start == 0 and track.end > 3][:2]
    page.click_cell(0, first.id)
    page.press("d")
    assert "divides: click daughter 1 of 2" in page.text("mode")
    page.click_cell(1, first.id)
    page.click_cell(1, second.id)
    sentence = f"{first.id} in frame 0 divides into {first.id} in frame 1 and {second.id} in frame 1"
    assert page.edits() == [sentence]
    page.press("z")
    assert page.edits() == []


def test_a_page_of_dots(browser, movie, tmp_path):
    load_result(movie / "01_RES").to_geff(tmp_path / "lineage.geff")
    write_report(tmp_path / "lineage.geff", tmp_path / "report.html")
    page = Page(browser, tmp_path, lineage=load_result(movie / "01_RES"))
    track = next(track for track in page.lineage if track.start == 0)
    page.click_cell(0, track.id)
    assert page.values()["Cell"] == f"label {track.id} in frame 0"
    assert not browser.find_element("id", "tools").is_displayed()
    assert "dots" in page.text("notes")
    assert [each for each in browser.get_log("browser") if each["level"] == "SEVERE"] == []
