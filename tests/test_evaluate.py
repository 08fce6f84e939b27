import contextlib
import io
import json
import shutil
import warnings

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.ctc_worlds import DIVIDES, build, draw_tables, write_truth

from gnntrack.cli import cli
from gnntrack.errors import FormatError, FrameError
from gnntrack.evaluate.tracking import (
    SUMMARY,
    average_scores,
    evaluate_sequence,
    evaluate_sequences,
    explain_undefined,
)
from gnntrack.io.ctc import write_ctc

ERRORS = {"AOGM", "AOGM_NS", "AOGM_FN", "AOGM_FP", "AOGM_ED", "AOGM_EA", "AOGM_EC"}
COUNTS = {*ERRORS, "AOGM_0", "divisions"}
GENERATIONS = {1: (0, 1, 0), 2: (2, 4, 1), 3: (2, 7, 1), 4: (5, 7, 2), 5: (5, 7, 2), 6: (0, 7, 0)}
"""Track 1 divides into 2 and 3, and 2 into 4 and 5, so that there is a whole cell cycle; 6 stays."""


@pytest.fixture
def truth(tmp_path):
    return write_truth(*build(GENERATIONS, lanes=8), tmp_path / "01_GT")


def result(folder, table, *, name="01_RES", **options):
    write_ctc(folder / name, *build(table, n_frames=8, lanes=8, **options))
    return folder / name


def change(folder, frame, old, new):
    file = folder / f"mask{frame:03d}.tif"
    mask = tifffile.imread(file)
    tifffile.imwrite(file, np.where(mask == old, new, mask).astype(np.uint16))


def rewrite(folder, *rows):
    (folder / "res_track.txt").write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))


# ---------------------------------------------------------------- perfect, and not


@settings(max_examples=30, deadline=None)
@given(drawn=draw_tables(min_tracks=1), ndim=st.sampled_from([2, 3]))
def test_truth_scores_perfectly_against_itself(tmp_path_factory, drawn, ndim):
    table, n_frames = drawn
    folder = tmp_path_factory.mktemp("ctc")
    lineage, runs = build(table, n_frames=n_frames, ndim=ndim)
    write_ctc(folder / "01_RES", lineage, runs)
    scores = evaluate_sequence(folder / "01_RES", write_truth(lineage, runs, folder / "01_GT"))
    assert {value for metric, value in scores.items() if metric in ERRORS} == {0}
    assert {value for metric, value in scores.items() if metric not in COUNTS} <= {1.0, None}
    assert scores["SEG"] == scores["TRA"] == scores["CT"] == scores["TF"] == scores["BIO(0)"] == scores["CHOTA"] == 1.0


def test_every_metric_is_there_and_is_json(tmp_path, truth):
    scores = evaluate_sequence(result(tmp_path, GENERATIONS), truth)
    for metric in SUMMARY:
        assert scores[metric] == 1.0
    for i in range(4):
        assert scores[f"BC({i})"] == scores[f"BIO({i})"] == scores[f"OP_CLB({i})"] == 1.0
    assert scores["divisions"] == 2
    assert json.loads(json.dumps(scores)) == scores


@pytest.mark.parametrize("frame", [0, 3, 7])
def test_missed_cell_lowers_detection(tmp_path, truth, frame):
    """A cell is missing in the first, a middle, the last frame: its track is shorter, or two."""
    if frame == 3:
        res = result(tmp_path, GENERATIONS, gaps={(6, 3)})
    else:
        start, end = (1, 7) if frame == 0 else (0, 6)
        res = tmp_path / "01_RES"
        write_ctc(res, *build(GENERATIONS | {6: (start, end, 0)}, n_frames=8, lanes=8))
    scores = evaluate_sequence(res, truth)
    assert scores["AOGM_FN"] == 1
    for metric in ("DET", "SEG", "TRA", "LNK", "CT", "TF", "CHOTA", "BIO(1)", "OP_CSB", "OP_CTB", "OP_CLB(1)"):
        assert scores[metric] < 1, metric


@pytest.mark.parametrize("frame", [1, 4, 7])
def test_wrong_link_lowers_linking(tmp_path, truth, frame):
    """Tracks 3 and 6 are swapped from a frame on, the first, a middle, or the last that has a link."""
    res = result(tmp_path, GENERATIONS)
    if frame == 1:
        for t in (0,):
            change(res, t, 1, 99)
            change(res, t, 6, 1)
            change(res, t, 99, 6)
    else:
        for t in range(frame, 8):
            change(res, t, 3, 99)
            change(res, t, 6, 3)
            change(res, t, 99, 6)
    scores = evaluate_sequence(res, truth)
    assert (scores["DET"], scores["SEG"]) == (1, 1)
    assert (scores["AOGM_ED"], scores["AOGM_EA"]) == (2, 2)
    for metric in ("TRA", "LNK", "CT", "TF", "CHOTA"):
        assert scores[metric] < 1, metric


def test_missed_division_lowers_its_recall(tmp_path, truth):
    scores = evaluate_sequence(result(tmp_path, GENERATIONS | {4: (5, 7, 0), 5: (5, 7, 0)}), truth)
    assert (scores["division_precision(0)"], scores["division_recall(0)"]) == (1.0, 0.5)
    assert scores["division_f1(0)"] == scores["BC(0)"] == pytest.approx(2 / 3)
    assert (scores["AOGM_EA"], scores["CT"]) == (2, 1.0)


def test_division_that_is_not_there_lowers_precision(tmp_path, truth):
    table = GENERATIONS | {6: (0, 3, 0), 7: (4, 7, 6), 8: (4, 7, 6)}
    scores = evaluate_sequence(result(tmp_path, table), truth)
    assert scores["division_precision(0)"] == pytest.approx(2 / 3)
    assert scores["division_recall(0)"] == 1.0


def test_no_division_in_truth_leaves_its_metrics_undefined(tmp_path):
    truth = write_truth(*build({1: (0, 7, 0)}, lanes=8), tmp_path / "01_GT")
    scores = evaluate_sequence(result(tmp_path, {1: (0, 3, 0), 2: (4, 7, 1), 3: (4, 7, 1)}), truth)
    assert scores["BC(1)"] is scores["division_f1(1)"] is scores["division_recall(1)"] is scores["CCA"] is None
    assert scores["division_precision(1)"] == 0.0
    assert scores["BIO(1)"] == pytest.approx((scores["CT"] + scores["TF"]) / 2)


@pytest.mark.parametrize("late", [1, 2, 3])
def test_late_division_counts_from_its_tolerance_on(tmp_path, truth, late):
    """The parent's label continues in place of one daughter, and the other daughter is late."""
    res = result(tmp_path, GENERATIONS)
    for t in range(2, 2 + late):
        change(res, t, 3, 1)
        change(res, t, 2, 0)
    rewrite(
        res, (1, 0, 1 + late, 0), (2, 2 + late, 4, 1), (3, 2 + late, 7, 1), (4, 5, 7, 2), (5, 5, 7, 2), (6, 0, 7, 0)
    )
    if late == 3:
        change(res, 4, 2, 0)
        rewrite(res, (1, 0, 4, 0), (3, 5, 7, 1), (4, 5, 7, 1), (5, 5, 7, 0), (6, 0, 7, 0))
    scores = evaluate_sequence(res, truth)
    recalls = [scores[f"division_recall({i})"] for i in range(3)]
    assert recalls == ([0.5] * late + [1.0] * (3 - late) if late < 3 else [0.0] * 3)


def test_daughter_that_comes_late_counts_from_its_tolerance_on(tmp_path, truth):
    """The parent ends in time, and one of its daughters is detected two frames late."""
    scores = evaluate_sequence(result(tmp_path, GENERATIONS | {3: (4, 7, 1)}), truth)
    assert [scores[f"division_recall({i})"] for i in range(3)] == [0.5, 0.5, 1.0]


def test_division_with_a_daughter_too_many_is_not_found(tmp_path, truth):
    scores = evaluate_sequence(result(tmp_path, GENERATIONS | {6: (2, 7, 1)}), truth)
    assert [scores[f"division_recall({i})"] for i in range(3)] == [0.5] * 3


def test_one_daughter_followed_by_two_labels_is_no_division(tmp_path):
    """Daughter 3 is followed by one label and a frame later by the other, daughter 2 by none."""
    table = {1: (0, 0, 0), 2: (2, 3, 1), 3: (1, 3, 1)}
    truth = write_truth(*build(table), tmp_path / "01_GT")
    res = tmp_path / "01_RES"
    write_ctc(res, *build(table))
    for t in (2, 3):
        change(res, t, 2, 0)
        change(res, t, 3, 2)
    rewrite(res, (1, 0, 0, 0), (2, 2, 3, 1), (3, 1, 1, 1))
    scores = evaluate_sequence(res, truth)
    assert [scores[f"BC({i})"] for i in range(4)] == [0, 0, 0, 0]
    assert_equal_to_official(scores, score_officially(res, truth))


@pytest.mark.parametrize(("covered", "matched"), [(2, False), (3, True)])
def test_half_a_cell_is_no_match(tmp_path, covered, matched):
    (tmp_path / "01_GT" / "TRA").mkdir(parents=True)
    (tmp_path / "01_RES").mkdir()
    cell = np.zeros((3, 6), np.uint16)
    cell[1, 1:5] = 1
    tifffile.imwrite(tmp_path / "01_GT" / "TRA" / "man_track000.tif", cell)
    cell[1, 1 + covered :] = 0
    tifffile.imwrite(tmp_path / "01_RES" / "mask000.tif", cell)
    (tmp_path / "01_GT" / "TRA" / "man_track.txt").write_text("1 0 0 0\n")
    rewrite(tmp_path / "01_RES", (1, 0, 0, 0))
    scores = evaluate_sequence(tmp_path / "01_RES", tmp_path / "01_GT")
    assert (scores["AOGM_FN"], scores["AOGM_FP"]) == ((0, 0) if matched else (1, 1))


def test_track_fractions_as_the_challenge_counts_them(tmp_path):
    """One label follows track 1 wholly and then half of track 2: the challenge's software counts only the first."""
    truth = write_truth(*build({1: (0, 1, 0), 2: (2, 5, 0)}), tmp_path / "01_GT")
    res = tmp_path / "01_RES"
    write_ctc(res, *build({1: (0, 1, 0), 2: (2, 5, 0)}))
    for t in (2, 3):
        change(res, t, 2, 1)
    rewrite(res, (1, 0, 3, 0), (2, 4, 5, 0))
    assert evaluate_sequence(res, truth)["TF"] == score_officially(res, truth)["TF"] == 0.75
    change(res, 4, 2, 0)
    change(res, 5, 2, 0)
    rewrite(res, (1, 0, 3, 0))
    assert evaluate_sequence(res, truth)["TF"] == score_officially(res, truth)["TF"] == 1.0


def test_bio_and_op_clb_by_their_definitions(tmp_path, truth):
    table = GENERATIONS | {2: (2, 3, 1), 4: (4, 7, 2), 5: (4, 7, 2), 6: (0, 5, 0)}
    scores = evaluate_sequence(result(tmp_path, table), truth)
    for i in range(4):
        bio = np.mean([scores["CT"], scores["TF"], scores[f"BC({i})"], scores["CCA"]])
        assert scores[f"BIO({i})"] == pytest.approx(bio)
        assert scores[f"OP_CLB({i})"] == pytest.approx((scores["LNK"] + bio) / 2)
    assert scores["OP_CSB"] == pytest.approx((scores["SEG"] + scores["DET"]) / 2)
    assert scores["OP_CTB"] == pytest.approx((scores["SEG"] + scores["TRA"]) / 2)


def test_bio_leaves_out_what_is_not_defined(tmp_path):
    """One division and no whole cell cycle: CCA is not defined."""
    truth = write_truth(*build(DIVIDES, lanes=8), tmp_path / "01_GT")
    scores = evaluate_sequence(result(tmp_path, DIVIDES | {4: (0, 6, 0)}), truth)
    assert scores["CCA"] is None
    assert scores["BIO(1)"] == pytest.approx((scores["CT"] + scores["TF"] + 1) / 3)


def test_result_without_cells_scores_nothing(tmp_path, truth):
    scores = evaluate_sequence(result(tmp_path, {}), truth)
    zero = {"DET", "SEG", "TRA", "LNK", "CT", "TF", "CCA", "BC(1)", "BIO(1)", "OP_CLB(1)", "CHOTA", "division_f1(1)"}
    assert {metric: scores[metric] for metric in zero} == dict.fromkeys(zero, 0.0)


def test_single_frame_has_no_links(tmp_path):
    truth = write_truth(*build({1: (0, 0, 0)}), tmp_path / "01_GT")
    write_ctc(tmp_path / "01_RES", *build({1: (0, 0, 0)}))
    scores = evaluate_sequence(tmp_path / "01_RES", truth)
    assert scores["LNK"] is scores["OP_CLB(1)"] is None
    assert scores["TRA"] == scores["CHOTA"] == 1.0


# ---------------------------------------------------------------- SEG


def test_seg_where_there_are_gold_masks(tmp_path, truth):
    res = result(tmp_path, GENERATIONS)
    assert evaluate_sequence(res, truth, seg=False)["SEG"] is None
    for file in (truth / "SEG").glob("*.tif"):
        if file.name != "man_seg003.tif":
            file.unlink()
    change(res, 3, 6, 0)
    pixels = tifffile.imread(res / "mask003.tif")
    pixels[20:23, 5:6] = 6  # a third of the cell is left: it does not match
    pixels[4:5, 4:7] = 0  # two thirds of another are left
    tifffile.imwrite(res / "mask003.tif", pixels)
    assert evaluate_sequence(res, truth)["SEG"] == pytest.approx((0 + 2 / 3 + 1) / 3)
    (truth / "SEG" / "man_seg003.tif").unlink()
    scores = evaluate_sequence(res, truth)
    assert scores["SEG"] is scores["OP_CSB"] is scores["OP_CTB"] is None
    with pytest.raises(FormatError, match="no masks for SEG"):
        evaluate_sequence(res, truth, seg=True)


def test_seg_of_single_planes_in_3d(tmp_path):
    """Each gold plane is scored for itself, wherever the cells are in the others."""
    lineage, runs = build({1: (0, 1, 0), 2: (0, 1, 0)}, ndim=3)
    truth = write_truth(lineage, runs, tmp_path / "01_GT")
    write_ctc(tmp_path / "01_RES", lineage, runs)
    for file in list((truth / "SEG").iterdir()):
        planes = tifffile.imread(file)
        file.unlink()
        tifffile.imwrite(file.with_name(f"{file.stem.replace('man_seg', 'man_seg_')}_001.tif"), planes[1])
    mask = tifffile.imread(tmp_path / "01_RES" / "mask000.tif")
    mask[0][mask[0] == 1] = 0  # in a plane without gold
    mask[1, 4, :][mask[1, 4, :] == 2] = 0  # a third of a cell in a plane with gold
    tifffile.imwrite(tmp_path / "01_RES" / "mask000.tif", mask)
    assert evaluate_sequence(tmp_path / "01_RES", truth)["SEG"] == pytest.approx((1 + 2 / 3 + 1 + 1) / 4)


# ---------------------------------------------------------------- an oracle


def score_officially(res, truth):
    """Return the scores of py-ctcmetrics."""
    from ctc_metrics.scripts.evaluate import evaluate_sequence

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return evaluate_sequence(str(res), str(truth), threads=1)


def assert_equal_to_official(scores, theirs):
    for metric, value in scores.items():
        if metric.startswith("division"):
            continue
        if theirs.get(metric) is None or value is None:
            assert theirs.get(metric) == value, metric
        else:
            assert value == pytest.approx(theirs[metric], abs=1e-9), metric
    for i in range(3):
        found, false = theirs[f"tp_div({i})"], theirs[f"fp_div({i})"]
        assert (scores[f"division_precision({i})"] or 0) == pytest.approx(found / max(found + false, 1))
        assert (scores[f"division_recall({i})"] or 0) == pytest.approx(found / max(theirs["gt_divisions"], 1))
    assert scores["divisions"] == theirs["gt_divisions"]


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_equal_to_py_ctcmetrics_on_any_result(tmp_path_factory, data):
    """The result has other tracks, swapped, merged and shrunken cells, and spurious ones."""
    table, n_frames = data.draw(draw_tables(min_tracks=1, max_tracks=7))
    other = {k: v for k, v in data.draw(draw_tables(min_tracks=1, max_tracks=7))[0].items() if v[1] < n_frames}
    other = {k: (s, e, p if p in other else 0) for k, (s, e, p) in other.items()}
    base = data.draw(st.sampled_from([table, other or table]))
    # py-ctcmetrics crashes where the truth has an empty frame, and where it has no link
    assume({t for start, end, _ in table.values() for t in range(start, end + 1)} == set(range(n_frames)))
    assume(any(start < end or parent for start, end, parent in table.values()))
    folder = tmp_path_factory.mktemp("ctc")
    lineage, runs = build(table, n_frames=n_frames)
    truth = write_truth(lineage, runs, folder / "01_GT")
    rows = _write_wrong(data, base, folder / "01_RES", lineage.cells.shape, n_frames)
    assume(rows)
    assert_equal_to_official(evaluate_sequence(folder / "01_RES", truth), score_officially(folder / "01_RES", truth))


def _write_wrong(data, table, res, shape, n_frames):
    """Draw the tracks of a table over the lanes of the truth, some of them wrong; write the valid ones as a result."""
    res.mkdir()
    seen = {}
    for t in range(n_frames):
        mask = np.zeros(shape, np.uint16)
        for k, (start, end, _) in table.items():
            height = data.draw(st.sampled_from([3, 3, 3, 2, 1, 7]))  # 7 covers the cell of the next lane too
            lane = data.draw(st.sampled_from([k - 1, k - 1, k - 1, k % max(shape[0] // 4, 1)]))
            if start <= t <= end:
                mask[4 * lane : 4 * lane + height, 1 + t : 4 + t] = k
        tifffile.imwrite(res / f"mask{t:03d}.tif", mask)
        for k in np.unique(mask[mask > 0]).tolist():
            seen.setdefault(k, []).append(t)
    rows = {k: (frames[0], frames[-1]) for k, frames in seen.items() if frames[-1] - frames[0] + 1 == len(frames)}
    for t in range(n_frames):  # a label that skips a frame is not a valid track
        mask = tifffile.imread(res / f"mask{t:03d}.tif")
        tifffile.imwrite(res / f"mask{t:03d}.tif", np.where(np.isin(mask, list(rows)), mask, 0).astype(np.uint16))
    parents = {k: table[k][2] for k in rows}
    parents = {k: p if p in rows and rows[p][1] < rows[k][0] else 0 for k, p in parents.items()}
    rewrite(res, *((k, *rows[k], parents[k]) for k in rows))
    return rows


# ---------------------------------------------------------------- results that are refused


def test_invalid_result_is_refused_with_all_that_is_wrong(tmp_path, truth):
    res = result(tmp_path, GENERATIONS)
    change(res, 0, 6, 0)
    change(res, 7, 6, 77)
    with pytest.raises(FormatError, match="cannot be scored") as caught:
        evaluate_sequence(res, truth)
    assert "[label-missing]" in str(caught.value)
    assert "[label-unknown]" in str(caught.value)
    assert "mask000.tif, frame 0" in str(caught.value)


def test_lengths_and_shapes_must_agree(tmp_path, truth):
    res = result(tmp_path, GENERATIONS)
    (truth / "TRA" / "man_track007.tif").unlink()
    with pytest.raises(FormatError, match=r"8 frames; the truth .* has 7"):
        evaluate_sequence(res, truth)
    tifffile.imwrite(truth / "TRA" / "man_track007.tif", np.zeros((5, 5), np.uint16))
    with pytest.raises(FrameError, match=r"mask007.tif, frame 7: has shape \(32, 13\), the truth \(5, 5\)"):
        evaluate_sequence(res, truth)
    (truth / "TRA" / "man_track003.tif").unlink()
    with pytest.raises(FrameError, match="frame 3: no mask"):
        evaluate_sequence(res, truth)


def test_missing_tables_and_folders(tmp_path, truth):
    res = result(tmp_path, GENERATIONS)
    with pytest.raises(FormatError, match="no such folder"):
        evaluate_sequence(tmp_path / "02_RES", truth)
    (res / "res_track.txt").unlink()
    with pytest.raises(FormatError, match=r"no res_track\.txt"):
        evaluate_sequence(res, truth)


def test_truth_without_cells_scores_nothing(tmp_path):
    truth = write_truth(*build({}, n_frames=8, lanes=8), tmp_path / "01_GT")
    with pytest.raises(FormatError, match="truth has no cell"):
        evaluate_sequence(result(tmp_path, {1: (0, 7, 0)}), truth)


# ---------------------------------------------------------------- several, and shown


def test_several_sequences_and_their_mean(tmp_path, truth):
    good = result(tmp_path, GENERATIONS, name="01_RES")
    bad = result(tmp_path, GENERATIONS, name="02_RES", gaps={(6, 3)})
    scores = evaluate_sequences([(good, truth), (bad, truth)])
    assert list(scores) == [f"{tmp_path.name}/01_RES", f"{tmp_path.name}/02_RES"]
    mean = average_scores(scores)
    assert mean["TRA"] == pytest.approx((1 + scores[f"{tmp_path.name}/02_RES"]["TRA"]) / 2)
    assert len(evaluate_sequences([(good, truth), (good, truth)])) == 1


def test_undefined_metrics_have_no_part_in_the_mean():
    scores = {"a": {"TRA": 0.5, "SEG": None}, "b": {"TRA": 1.0, "SEG": 0.25}, "c": {"TRA": 0.0}}
    assert average_scores(scores) == {"TRA": 0.5, "SEG": 0.25}


# ---------------------------------------------------------------- the official scores


REASONS = {
    "a single track": (
        {1: (0, 7, 0)},
        {"SEG": "no masks of whole cells", "BC(1), division_f1(1)": "no division", "CCA": "no comp"},
    ),
    "one division": (DIVIDES, {"SEG": "no masks of whole cells", "CCA": "no complete cell cycle, a track that begins"}),
    "a whole cycle": (GENERATIONS, {"SEG": "no masks of whole cells"}),
    "tracks of one frame": (
        {k + 1: (k, k, 0) for k in range(8)},
        {"LNK": "no track is longer than a frame", "OP_CLB(1)": "it needs LNK"},
    ),
    "two tracks": ({1: (0, 7, 0), 2: (2, 7, 0)}, {"BC(1), division_f1(1)": "the ground truth has no division"}),
}


@pytest.mark.parametrize("kind", REASONS)
def test_undefined_metrics_are_explained(tmp_path, kind):
    table, reasons = REASONS[kind]
    truth = write_truth(*build(table, n_frames=8, lanes=8), tmp_path / "01_GT")
    if kind != "two tracks":
        shutil.rmtree(truth / "SEG", ignore_errors=True)
    res = result(tmp_path, table)
    done = CliRunner().invoke(cli, ["evaluate", str(res), str(truth)])
    assert done.exit_code == 0, done.output
    notes = [line for line in done.stdout.splitlines() if line.startswith("- ")]
    for metrics, reason in reasons.items():
        (note,) = [line for line in notes if line.startswith(f"- {metrics} ")]
        assert reason in note
    listed = sum(len(note.partition(" not defined")[0].split(",")) for note in notes)
    dashes = [line for line in done.stdout.splitlines() if line.endswith(" -")]
    assert listed == len(dashes)


def test_undefined_metrics_of_some_sequences_name_these(tmp_path):
    both = {"01_RES": {"BC(1)": None, "CCA": None}, "02_RES": {"BC(1)": 1.0, "CCA": None}}
    assert explain_undefined(both) == [
        "- BC(1) is not defined for 01_RES: the ground truth has no division",
        "- CCA is not defined: the ground truth has no complete cell cycle, a track that begins and ends with a "
        "division",
    ]


@pytest.mark.data
@pytest.mark.parametrize(
    ("sequence", "det", "tra"),
    [
        ("iPSC-02/01", 0.919891, 0.918984),
        ("iPSC-02/02", 0.936992, 0.932231),
        ("iPSC-02/03", 0.933494, 0.927246),
        ("PhC-C2DL-PSC/01", 0.784390, 0.726467),
        ("ctc-official-evaluation/03", 0.688000, 0.622980),
        ("ctc-official-evaluation/04", 0.867801, 0.865242),
    ],
)
def test_official_scores(ctc_data, sequence, det, tra):
    scores = evaluate_sequence(ctc_data / f"{sequence}_RES", ctc_data / f"{sequence}_GT")
    assert (round(scores["DET"], 6), round(scores["TRA"], 6)) == (det, tra)


@pytest.mark.data
def test_equal_to_py_ctcmetrics_on_a_real_result(ctc_data):
    folder = ctc_data / "ctc-official-evaluation"
    pair = folder / "03_RES", folder / "03_GT"
    assert_equal_to_official(evaluate_sequence(*pair), score_officially(*pair))


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("sequence", ["iPSC-02/02", "iPSC-02/01", "Fluo-N2DL-HeLa/01"])
def test_equal_to_py_ctcmetrics_on_real_results(ctc_data, sequence):
    pair = ctc_data / f"{sequence}_RES", ctc_data / f"{sequence}_GT"
    scores, theirs = evaluate_sequence(*pair), score_officially(*pair)
    assert_equal_to_official(scores, theirs)
