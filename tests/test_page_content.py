"""The page of a result: what is in the file."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.draw import polygon2mask
from support.browser import make_movie, make_stack, read_data, unpack
from test_cli import run

import gnntrack
from gnntrack.converting import convert
from gnntrack.errors import GnntrackWarning, InputError, OutputError
from gnntrack.figures import write_tree
from gnntrack.io.stack import Stack
from gnntrack.report.outlines import decode_numbers, encode_numbers, encode_outlines, encode_plane
from gnntrack.report.pictures import encode_movie
from gnntrack.report.web import PageContent, make_page
from gnntrack.report_measures import measure_lineage
from gnntrack.reporting import write_report
from gnntrack.results import load_result

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from geff.core_io import write_arrays
    from geff_spec import Axis, GeffMetadata


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """Simulated movie with its result, and the page."""
    return make_movie(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Simulated movie of stacks with its result, and the page."""
    return make_stack(tmp_path_factory.mktemp("stack"))


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
    assert generous.frames[0][:2] == b"\xff\xd8"  # JPEG, which is compressed fast
    assert small.frames[0][:4] == b"RIFF"  # WebP, which is smaller


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


def test_the_curves_of_the_page_are_those_of_the_analysis(movie):
    (motion,) = read_data(movie / "report.html")["curves"]  # too short for a cell that is born and divides
    analysis = gnntrack.analyse(movie / "01_RES")
    np.testing.assert_allclose(motion["y"], analysis.msd.filter(like="msd_").iloc[:, 0], rtol=1e-3)
    simulated = gnntrack.simulate(frames=24, cells=5, shape=(160, 160), cycle=8, seed=1)
    lineage = gnntrack.track(masks=simulated.masks)
    _, survival = measure_lineage(lineage).curves
    assert (survival.x[0], survival.y[0]) == (0, 1)
    np.testing.assert_allclose(survival.y[1:], gnntrack.analyse(lineage).survival["undivided"])
    assert survival.note.startswith("median ")


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


def test_a_geff_that_was_moved_takes_no_other_masks(movie, tmp_path):
    (tmp_path / "here").mkdir()
    geff = shutil.copytree(movie / "01_RES" / "gnntrack" / "lineage.geff", tmp_path / "here" / "mine" / "lineage.geff")
    message = f"lineage.geff: it names {re.escape(str(tmp_path / 'here'))} for its masks, and its cells are not in"
    with pytest.warns(GnntrackWarning, match=message):  # nothing but a folder is there
        write_report(geff, tmp_path / "report.html")
    assert "--masks" in read_data(tmp_path / "report.html")["notes"][1]
    other = np.load(movie / "masks.npy")[:, ::-1]  # the same labels elsewhere
    for frame, mask in enumerate(other):
        tifffile.imwrite(tmp_path / "here" / f"mask{frame:03d}.tif", mask)
    with pytest.warns(GnntrackWarning, match=message):
        assert not gnntrack.load(geff).has_masks
    write_report(geff, tmp_path / "report.html", masks=movie / "01_RES", overwrite=True)  # no warning
    assert read_data(tmp_path / "report.html")["views"][0]["outlines"]
    shutil.rmtree(tmp_path / "here" / "mine")
    shutil.copytree(movie / "01_RES", tmp_path / "01_RES")
    assert gnntrack.load(tmp_path / "01_RES" / "gnntrack" / "lineage.geff").has_masks


def test_the_page_is_html(movie, tmp_path):
    with pytest.raises(OutputError, match=r"tree\.png: the page is HTML"):
        write_report(movie / "01_RES", tmp_path / "tree.png")


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


def test_points_without_labels_are_shown(movie, tmp_path):
    columns = {"t": [0, 0, 1, 1], "y": [5.0, 20, 6, 22], "x": [5.0, 30, 5, 30]}
    axes = [Axis(name="t", type="time"), *(Axis(name=name, type="space") for name in "yx")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_arrays(
            str(tmp_path / "points.geff"),
            np.arange(4, dtype=np.uint64),
            {name: {"values": np.array(values), "missing": None} for name, values in columns.items()},
            np.array([[0, 2], [1, 3]], np.uint64),
            {},
            GeffMetadata(directed=True, axes=axes, node_props_metadata={}, edge_props_metadata={}),
        )
    assert gnntrack.load(tmp_path / "points.geff").cells.points
    write_report(tmp_path / "points.geff", tmp_path / "report.html")
    write_tree(tmp_path / "points.geff", tmp_path / "tree.svg")
    data = read_data(tmp_path / "report.html")
    assert unpack(data["cells"]["label"], "<i4").tolist() == [1, 2, 1, 2]
    assert data["facts"] == ["2 frames", "4 cells", "2 tracks", "0 divisions"]
    assert data["mistakes"] is None
    with pytest.raises(InputError, match="no such folder"):
        write_report(tmp_path / "points.geff", tmp_path / "truth.html", truth=tmp_path / "01_GT")
    write_report(tmp_path / "points.geff", tmp_path / "truth.html", truth=movie / "movie" / "01_GT")
    assert "cells are compared with it by their masks" in read_data(tmp_path / "truth.html")["notes"][-1]


def test_positions_of_another_program_are_shown_on_larger_images(movie, tmp_path):
    convert(movie / "01_RES", tmp_path / "points.csv")
    with pytest.raises(InputError, match=r"'gnntrack convert .*points.csv points.geff' makes one"):
        write_report(tmp_path / "points.csv", tmp_path / "report.html")
    convert(tmp_path / "points.csv", tmp_path / "points.geff")
    images = np.load(movie / "images.npy")
    fitting = gnntrack.load(tmp_path / "points.geff", points=True).cells.shape
    assert fitting < images.shape[1:]
    write_report(tmp_path / "points.geff", tmp_path / "report.html", images=images)
    data = read_data(tmp_path / "report.html")
    assert data["shape"] == list(images.shape[1:])
    assert data["notes"][0].startswith("The frames are those of the images, 12 frames of (200, 260)")
    with pytest.raises(InputError, match=r"the images have 11 frames of .* the result has 12"):
        write_report(tmp_path / "points.geff", tmp_path / "short.html", images=images[:-1])
    with pytest.raises(InputError, match="give the images of this result"):  # masks do tell the size
        write_report(movie / "01_RES", tmp_path / "large.html", images=np.pad(images, [(0, 0), (0, 5), (0, 0)]))


def test_masks_drawn_in_the_gaps_of_a_geff_are_shown(movie, tmp_path):
    masks = np.load(movie / "masks.npy")
    label = next(track.id for track in gnntrack.load(movie / "movie" / "01_GT") if (track.start, track.end) == (0, 11))
    masks[5][masks[5] == label] = 0
    gnntrack.solve(gnntrack.build_graph(masks=masks)).to_geff(tmp_path / "lineage.geff")
    write_report(tmp_path / "lineage.geff", tmp_path / "report.html", masks=masks, truth=movie / "movie" / "01_GT")
    data = read_data(tmp_path / "report.html")
    kinds = [data["cells"]["kinds"][kind] for kind in unpack(data["cells"]["kind"], "u1")]
    assert kinds.count("filled") == 1
    assert data["scores"]["DET"] == 1
