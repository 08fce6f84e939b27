"""The page of `gnntrack serve` in a browser, and the rules that it shares with `gnntrack apply-edits`."""

from __future__ import annotations

import shutil
from importlib.resources import files

import numpy as np
import pytest
from support.browser import Page
from test_edits import movie  # noqa: F401  (a fixture)
from test_page import browser  # noqa: F401
from test_serve import ask, long_tracks, result, serving, tracked  # noqa: F401

from gnntrack.correction_session import RecordedRun, open_session
from gnntrack.lineage.edits import Edit, EditList, list_own_links
from gnntrack.reporting import write_report
from gnntrack.results import load_result
from gnntrack.serving.opening import open_live_result


class LivePage(Page):
    """The page of a server."""

    def __init__(self, browser, server):  # noqa: F811
        self.browser, self.server = browser, server
        browser.get(server.url)
        assert browser.execute_script("return document.documentElement.dataset.ready") == "true"

    @property
    def lineage(self):
        return self.server.live.lineage

    def picture(self, name):
        return self.browser.execute_script("return document.getElementById(arguments[0]).toDataURL()", name)

    def wait(self):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.browser, 20).until(lambda _: not self.browser.find_elements("css selector", ".sending"))


@pytest.fixture
def live_page(browser, result):  # noqa: F811
    live, _ = open_live_result(result)
    with serving(live) as server:
        page = LivePage(browser, server)
        yield page
        problems = [each for each in browser.get_log("browser") if each["level"] in ("SEVERE", "WARNING")]
        assert [each for each in problems if "409" not in each["message"]] == []


def test_an_edit_in_the_page_is_solved_at_once(live_page, tmp_path):
    page, live = live_page, live_page.server.live
    before = page.lineage
    first, second = long_tracks(before)[:2]
    page.press("\ue014", "\ue014", "\ue014")
    page.click_cell(3, first)
    tree = page.picture("tree")
    page.press("x")
    page.wait()
    assert len(page.lineage) == len(before) + 1
    assert f"{len(before) + 1} tracks" in page.text("facts")
    assert f"{len(before) + 1} tracks" in page.browser.find_element("id", "tree").get_attribute("aria-label")
    assert len(page.edits()) == 1
    place = page.values()["Cell"]  # the same cell, with its new label
    cut = live.edits[0].cells[1]
    assert place == f"label {live._state.shown.labels[cut]} in frame 3"
    assert page.values()["Track"].startswith(f"{live._state.shown.labels[cut]}, frames 3 to")
    assert page.picture("tree") != tree
    page.press("x")  # it is the first cell of its track now
    page.click_cell(3, live._state.shown.labels[tuple(before_cell(before, 3, second))])
    page.press("s")
    page.wait()
    assert len(live.edits) == 2
    assert len(page.lineage.cells) == len(before.cells) - 1 + count_drawn(page.lineage) - count_drawn(before)
    page.browser.find_element("id", "download").click()
    page.wait()
    assert "Saved in" in page.text("message")
    assert load_result(tmp_path / "corrected" / "01_RES").cells.label.tolist() == page.lineage.cells.label.tolist()
    page.press("z", "z")
    page.wait()
    page.press("z")
    page.wait()
    assert (page.edits(), live.edits) == ([], ())
    np.testing.assert_array_equal(page.lineage.track, before.track)


def before_cell(lineage, frame, label):
    row = int(lineage.cells.row_of(frame, label))
    return frame, int(lineage.origins.input_label[row])


def count_drawn(lineage):
    return int((lineage.origins.kind == 1).sum())


def test_an_older_page_is_refused(live_page):
    page, live = live_page, live_page.server.live
    first = long_tracks(page.lineage)[0]
    ask(live, add={"kind": "cut", "cells": [[2, first], [3, first]]})  # in another window
    page.press("\ue014")
    page.click_cell(1, first)
    page.press("x")
    page.wait()
    assert "reload it" in page.text("message")
    assert len(live.edits) == 1
    again = LivePage(page.browser, page.server)
    assert len(again.edits()) == 1


def test_names_are_text(browser, tracked, tmp_path):  # noqa: F811
    name = "<b id=evil>x</b>"
    shutil.copytree(tracked, tmp_path / name)
    live, _ = open_live_result(tmp_path / name, out=tmp_path / "<i id=evil>out")
    with serving(live) as server:
        page = LivePage(browser, server)
        first = long_tracks(page.lineage)[0]
        page.press("\ue014")
        page.click_cell(1, first)
        page.press("c")
        page.wait()
        page.browser.find_element("id", "download").click()
        page.wait()
        assert name in page.text("title")
        assert "<i id=evil>out" in page.text("message")
        assert not browser.find_elements("id", "evil")


def test_the_page_of_report_refuses_the_same_edits(browser, tracked, tmp_path):  # noqa: F811
    """On random lists of edits of few cells, among them a drawn mask and a division."""
    write_report(tracked, tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    session = open_session(RecordedRun.read(tracked))
    lists = [random_edits(session.before.lineage, seed) for seed in range(150)]
    code = [files("gnntrack.report").joinpath("page", name).read_text() for name in ("data.js", "checker.js")]
    check = """
    return arguments[0].map((list) => {
      const kept = [];
      return list.map(({ kind, cells }) => {
        const edit = { kind, rows: cells.map(([frame, label]) => findRow(frame, label)) };
        const reason = findContradiction(kept, edit);
        if (!reason) kept.push(edit);
        return reason;
      });
    });"""
    content = [EditList(tuple(edits)).to_dict()["edits"] for edits in lists]
    reasons = browser.execute_script("\n".join([*code, check]), content)
    refused = 0
    for edits, own in zip(lists, reasons, strict=True):
        plan = session.plan(EditList(tuple(edits)))
        given = [edit for edit, reason in zip(edits, own, strict=True) if reason and "is the same" not in reason]
        assert given == [edit for edit, _ in plan.refused], (edits, own, plan.refused)
        refused += len(given)
    assert 150 < refused < 150 * 8


def random_edits(lineage, seed):
    """Return edits of cells that are near each other."""
    random = np.random.default_rng(seed)
    own = list_own_links(lineage)
    drawn = np.flatnonzero(~own.own)
    parents = [int(lineage.cells.row_of(frame, parent)) for frame, parent, _ in lineage.divisions]
    middle = int(random.choice([*drawn.tolist(), *parents, int(random.integers(len(lineage.cells)))]))
    position, frame = lineage.cells.position, lineage.cells.frame
    near = np.flatnonzero(np.abs(frame - frame[middle]) <= 2)
    near = near[np.argsort(np.linalg.norm(position[near] - position[middle], axis=1), kind="stable")][:9]
    edits = []
    for _ in range(8):
        kind = str(random.choice(["cut", "join", "confirm", "divide", "undivide", "spurious"]))
        count = {"divide": 3, "undivide": 1, "spurious": 1}.get(kind, 2)
        rows = random.permutation(near)[:count].tolist()
        if kind == "confirm" and random.uniform() < 0.8:
            linked = np.flatnonzero(np.isin(lineage.target, near))
            link = int(random.choice(linked))
            rows = [int(lineage.source[link]), int(lineage.target[link])]
        cells = tuple((int(frame[row]), int(lineage.cells.label[row])) for row in rows)
        edits.append(Edit(kind, tuple(sorted(cells)) if count == 2 else cells))
    return edits
