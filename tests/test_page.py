"""The page of a result in a browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
from pathlib import Path

import pytest
import tifffile
from support.browser import Page, find_browser, make_movie, make_stack, read_data, start_browser
from test_cli import run

from gnntrack.reporting import write_report
from gnntrack.results import load_result


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """Simulated movie with its result, and the page."""
    return make_movie(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Simulated movie of stacks with its result, and the page."""
    return make_stack(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium."""
    downloads = tmp_path_factory.mktemp("downloads")
    driver = start_browser(downloads)
    driver.downloads = downloads
    yield driver
    driver.quit()


@pytest.mark.parametrize("name", ["CI", "GNNTRACK_NEEDS_ALL"])
def test_a_missing_browser_is_a_failure_in_ci_and_else_a_skip(monkeypatch, tmp_path, name):
    monkeypatch.setenv("PATH", str(tmp_path))
    for each in ("CI", "GNNTRACK_NEEDS_ALL"):
        monkeypatch.delenv(each, raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt install chromium"):
        find_browser()
    monkeypatch.setenv(name, "true")
    with pytest.raises(pytest.fail.Exception, match="apt install chromium"):
        find_browser()


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


def test_a_key_of_an_edit_that_is_not_possible_says_why(page):
    page.press("\ue00c")  # escape: nothing is selected
    page.press("x")
    assert page.text("message") == "Select a cell first."
    track = next(track for track in page.lineage if track.start == 0)
    page.click_cell(0, track.id)
    page.press("x")
    assert page.text("message") == "Not added: the cell has no link from the frame before."
    assert page.text("edit-count") == ""


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
    for _ in range(50):  # the tree follows the window a moment later
        widths = page.browser.execute_script(get)
        if len(set(widths)) == 1:
            break
        time.sleep(0.05)
    tree = page.box("tree-scroll")[0]
    page.browser.set_window_size(size["width"], size["height"])
    assert len(widths) > 7  # with the curves
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
    assert "gnntrack apply-edits 01_RES edits.json" in page.text("message")
    content = json.loads(file.read_text())
    assert content["edits"] == [
        {"kind": "cut", "cells": [[2, first.id], [3, first.id]]},
        {"kind": "join", "cells": [[3, second.id], [4, third.id]]},
    ]
    printed = run("apply-edits", movie / "01_RES", file, "-o", tmp_path / "02_RES").stdout
    assert "2 kept, 0 refused" in printed
    file.unlink()


def test_enter_without_a_cell_asks_for_one(page):
    track = next(track for track in page.lineage if track.start == 0 and track.end < 11)
    page.click_cell(0, track.id)
    page.press("j", "\ue010", "\ue007")  # End, Enter
    assert page.text("message").startswith("Choose a cell")
    page.press("\ue00c")
    assert page.text("message") == ""


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


@pytest.fixture
def faulty(browser, movie, tmp_path_factory):
    """Page of a result whose mistakes are known: a cell is missing in frame 5, and two tracks change places in 8."""
    folder = tmp_path_factory.mktemp("faulty")
    shutil.copytree(movie / "movie" / "01_GT" / "TRA", folder / "01_RES")
    result = folder / "01_RES"
    (result / "man_track.txt").rename(result / "res_track.txt")
    for file in result.glob("man_track*.tif"):
        file.rename(result / file.name.replace("man_track", "mask"))
    long = [int(line.split()[0]) for line in (result / "res_track.txt").read_text().splitlines() if " 0 11 0" in line]
    for frame in range(8, 12):
        change_mask(result / f"mask{frame:03d}.tif", {long[0]: long[1], long[1]: long[0]})
    change_mask(result / "mask005.tif", {long[2]: 0})
    table = (result / "res_track.txt").read_text()
    table = re.sub(rf"^{long[2]} 0 11 0$", f"{long[2]} 0 4 0\n900 6 11 0", table, flags=re.MULTILINE)
    (result / "res_track.txt").write_text(table)
    for frame in range(6, 12):
        change_mask(result / f"mask{frame:03d}.tif", {long[2]: 900})
    write_report(result, folder / "report.html", images=movie / "images.npy", truth=movie / "movie" / "01_GT")
    return Page(browser, folder)


def change_mask(file, labels):
    mask = tifffile.imread(file)
    changed = mask.copy()
    for old, new in labels.items():
        changed[mask == old] = new
    tifffile.imwrite(file, changed)


def test_mistakes_are_listed_filtered_and_stepped_through(faulty):
    browser = faulty.browser
    assert read_data(Path(browser.current_url.removeprefix("file://")))["fingerprint"]  # it can be corrected
    faulty.press("l")
    kinds = [each.text for each in browser.find_elements("css selector", "#kind option")]
    assert kinds == ["all (2)", "broken at a missed cell (1)", "swap (1)"]
    faulty.press("n")
    assert faulty.text("clock").startswith("frame 5 of 11")
    assert "broken at a missed cell" in faulty.text("live")
    browser.find_element("css selector", "#kind option:nth-child(3)").click()
    assert len(browser.find_elements("css selector", "#review li")) == 1
    browser.execute_script("document.activeElement.blur()")
    faulty.press("n")
    assert faulty.text("clock").startswith("frame 8 of 11")
    assert faulty.values()["Cell"].endswith("in frame 8")
    before = faulty.picture("overlay")
    faulty.press("m")
    assert faulty.picture("overlay") != before
    assert [each for each in browser.get_log("browser") if each["level"] == "SEVERE"] == []


def test_cells_and_tracks_are_chosen_by_keys(page):
    page.press("\ue015")  # arrow down: the first cell
    assert page.values()["Cell"] == f"label {page.lineage.cells.label[0]} in frame 0"
    assert page.text("live").startswith(f"Frame 0, track {page.lineage.track[0]}")
    page.press("\ue015")
    assert page.values()["Cell"] == f"label {page.lineage.cells.label[1]} in frame 0"
    parent = next(track for track in page.lineage if track.daughters)
    page.press("g")
    page.browser.find_element("id", "find-track").send_keys(str(parent.id), "\ue007")
    assert page.values()["Track"].startswith(f"{parent.id}, frames")
    page.browser.find_element("id", "find-track").clear()
    page.browser.find_element("id", "find-track").send_keys("4000", "\ue007")
    assert page.text("live") == "There is no track 4000."
    page.browser.find_element("id", "tree-scroll").send_keys("\ue015")  # the next track of the tree
    assert not page.values()["Track"].startswith(f"{parent.id},")


def test_every_control_has_a_name_and_is_reached_by_the_tabulator(page):
    names = """
        const named = (each) => each.getAttribute("aria-label") || each.labels?.[0]?.textContent.trim()
            || each.textContent.trim() || document.getElementById(each.getAttribute("aria-labelledby"))?.textContent;
        return [...document.querySelectorAll("button, input, select, [tabindex='0'], canvas[role=img]")]
            .filter((each) => !named(each)).map((each) => each.id || each.outerHTML)"""
    assert page.browser.execute_script(names) == []
    order = []
    page.browser.execute_script("document.activeElement.blur()")
    while len(order) < 80 and "review" not in order:
        page.press("\ue004")
        order.append(page.browser.execute_script("return document.activeElement.id"))
    reached = [
        order.index(each) for each in ("theme", "view", "time", "colour", "tree-scroll", "plots", "list", "review")
    ]
    assert reached == sorted(reached)


def test_contrast_is_set_by_grey_values(page):
    assert page.text("contrast-range").split(" to ")[0] != page.text("contrast-range").split(" to ")[1]
    whole = page.text("contrast-range")
    page.browser.find_element("id", "contrast-auto").click()
    for _ in range(50):
        if page.text("contrast-range") != whole:
            break
        time.sleep(0.05)
    assert page.text("contrast-range") != whole
    page.browser.find_element("id", "contrast-full").click()
    assert page.text("contrast-range") == whole
    assert page.browser.find_element("id", "image").get_attribute("style") == ""


def test_plots_follow_the_selection_and_a_click_on_a_point_goes_there(page):
    titles = [each.text.splitlines()[0] for each in page.browser.find_elements("css selector", "#plots h2")]
    shown = (
        "Mistakes",
        "Cells per frame",
        "Link confidence",
        "Divisions",
        "Speed: median",
        "Area: median",
        "Distance to the nearest cell: median",
        "Growth rate",
    )
    assert all(any(title.startswith(name) for title in titles) for name in shown[1:])
    canvas = page.browser.find_elements("css selector", ".plot")[2]  # divisions, one above the other
    division = next(track for track in page.lineage if track.daughters)
    same = [track for track in page.lineage if track.daughters and track.end == division.end]
    click = """
        const box = arguments[0].getBoundingClientRect();
        const at = { bubbles: true, clientX: box.left + arguments[1], clientY: box.top + arguments[2] };
        arguments[0].dispatchEvent(new MouseEvent("click", at))"""
    width = page.browser.execute_script("return arguments[0].clientWidth", canvas)
    x = 34 + division.end / 11 * (width - 46)
    page.browser.execute_script(click, canvas, x, 64 - 8 - 48 / 3)
    assert page.values()["Track"].startswith(tuple(f"{track.id}, frames" for track in same))
    assert page.text("clock").startswith(f"frame {division.end} of")


def test_planes_and_sides_of_a_stack(browser, stack):
    page = Page(browser, stack)
    pictures = {page.picture("image")}
    page.press("\ue00e")  # page up: the plane above the middle
    assert page.text("plane-name").startswith("z 7 of 11")
    time.sleep(0.1)
    pictures.add(page.picture("image"))
    track = next(track for track in page.lineage if track.start == 0)
    page.browser.find_element("id", "find-track").send_keys(str(track.id), "\ue007")
    assert page.text("plane-name").startswith(f"z {round(track.positions[0][0])} of 11")  # the plane follows the cell
    for axis in ("y", "x"):
        page.browser.find_element("css selector", f"#axis option[value={axis}]").click()
        time.sleep(0.1)
        pictures.add(page.picture("image"))
    assert len(pictures) == 4
    assert [each for each in browser.get_log("browser") if each["level"] == "SEVERE"] == []


def test_it_prints_frame_tree_and_tables(page):
    page.press("n")
    theme = page.browser.execute_script("return document.documentElement.dataset.theme")
    paper = base64.b64decode(page.browser.print_page())
    assert paper.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page[^s]", paper)) <= 4
    assert page.browser.execute_script("return document.documentElement.dataset.theme") == theme


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
