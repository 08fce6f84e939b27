"""Fusions: two cells whose masks become one for good."""

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import gnntrack
from gnntrack.cli import cli
from gnntrack.converting import convert
from gnntrack.errors import FormatError
from gnntrack.io.ctc_validate import validate_ctc
from gnntrack.lineage import Edit, list_doubts
from gnntrack.lineage.structural_edits import edit_lineage
from gnntrack.napari.readers import read_layers
from gnntrack.napari.writers import write_result as write_layers
from gnntrack.reporting import write_report
from gnntrack.types import Fusions

N_FRAMES = 14
LONGER = 20


def draw_fusion(ndim=2, *, meet=5, part=LONGER, frames=N_FRAMES, distance=11.0, small=5.0):
    r"""Return masks of two balls that touch, are one from frame `meet` on, and two again from frame `part` on.

    ::

        large  ---o---o---o
                           \
                            o---o---o
                           /
        small  ---o---o---o            another cell  ---o---o---o---o---o---o
    """
    grid = np.stack(np.indices((26, 40, 60)[-ndim:]), -1)
    masks = np.zeros((frames, *grid.shape[:-1]), np.uint8)
    for frame in range(frames):
        near = max(distance + 3 * (4 - frame), distance)
        for label, radius, shift in ((1, 6.5, 0.0), (2, small, near), (3, 6.0, 33.0)):
            centre = np.array([13, 18, 14 + shift])[-ndim:]
            if label == 3:
                centre[-1] = 48
            drawn = 1 if label == 2 and meet <= frame < part else label
            masks[frame][((grid - centre) ** 2).sum(-1) <= radius**2] = drawn
    return masks


def erase_small_cell():
    """Return masks in which the small cell vanishes, and the large one covers half of its place."""
    masks = draw_fusion(meet=N_FRAMES)
    masks[5:][masks[5:] < 3] = 0
    y, x = np.indices(masks.shape[1:])
    masks[5:, np.hypot(y - 18, x - 19.5) <= 7] = 1
    return masks


def name_fusions(lineage):
    """Return track and frame of both cells of each fusion."""
    track, frame = lineage.track.tolist(), lineage.cells.frame.tolist()
    return [(track[row], frame[row], track[into], frame[into]) for row, into in lineage.fusions]


@pytest.fixture(scope="module")
def fused():
    return gnntrack.track(masks=draw_fusion())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("fusions") / "01_RES"
    gnntrack.track(masks=draw_fusion(), out=out, pictures=False)
    return out


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_track_that_ends_by_fusion_is_found(ndim):
    lineage = gnntrack.track(masks=draw_fusion(ndim))
    assert name_fusions(lineage) == [(2, 4, 1, 5)]
    assert lineage.tracks.parent.tolist() == [0, 0, 0]  # it is not a link


@pytest.mark.parametrize(
    ("why", "masks"),
    [
        ("the cells part again, as masks that are merged by mistake do", draw_fusion(part=17, frames=LONGER)),
        ("the movie ends too early", draw_fusion()[:7]),
        ("one of the cells was there for a few frames only", draw_fusion()[3:]),
        ("it is too small to tell from growth", draw_fusion(small=3.0, distance=9.0)),
        ("it vanishes", erase_small_cell()),
    ],
)
def test_other_ends_are_not_fusions(why, masks):
    assert not name_fusions(gnntrack.track(masks=masks, max_merge=0)), why


def test_the_result_of_the_challenge_has_the_better_parent_only(folder):
    assert (folder / "res_track.txt").read_text().split("\n")[:3] == ["1 0 13 0", "2 0 4 0", "3 0 13 0"]
    assert not validate_ctc(folder)


def test_the_review_list_and_the_screen_name_the_fusion(folder, tmp_path):
    found = [doubt.why for doubt in list_doubts(gnntrack.load(folder)) if doubt.kind == "end"]
    assert [why.split(",")[0] for why in found] == ["the track ends by fusion into track 1"]
    shown = CliRunner().invoke(cli, ["convert", str(folder), str(tmp_path / "a.geff")]).output
    assert "1 track ends by fusion into another cell" in " ".join(shown.split())


def test_a_result_and_its_geff_have_the_fusions(folder, fused):
    assert name_fusions(gnntrack.load(folder)) == name_fusions(fused)
    assert name_fusions(gnntrack.load(folder / "gnntrack" / "lineage.geff")) == name_fusions(fused)
    assert json.loads((folder / "gnntrack" / "summary.json").read_text())["counts"]["fusions"] == 1


def test_a_geff_with_fusions_is_valid(folder):
    from geff import GeffReader
    from geff.validate.data import ValidationConfig, validate_data

    reader = GeffReader(folder / "gnntrack" / "lineage.geff")
    reader.read_node_props()
    reader.read_edge_props()
    memory = reader.build()
    validate_data(memory, ValidationConfig(tracklet=True, lineage=True))
    fusion = memory["edge_props"]["fusion"]["values"]
    assert fusion.tolist().count(True) == 1
    assert np.isnan(memory["edge_props"]["confidence"]["values"]).tolist() == fusion.tolist()


def test_a_geff_without_fusions_has_no_column_of_them(tmp_path):
    gnntrack.track(masks=draw_fusion(part=5)).to_geff(tmp_path / "a.geff")
    assert [file.name for file in (tmp_path / "a.geff/edges/props").iterdir() if file.is_dir()] == ["confidence"]


def test_a_trackmate_file_has_a_track_in_which_two_merge(folder, tmp_path):
    file = tmp_path / "a.xml"
    gnntrack.export(gnntrack.load(folder), file, to="trackmate")
    text = file.read_text()
    assert text.count('NUMBER_MERGES="1"') == 1
    assert text.count('GNNTRACK_FUSION="1"') == 1
    back = gnntrack.import_tracks(file)
    assert name_fusions(back) == [(2, 4, 1, 5)]
    assert len(back) == 3
    assert name_fusions(convert(file, tmp_path / "b.geff").lineage) == [(2, 4, 1, 5)]


def test_an_import_of_a_result_keeps_fusions(folder, tmp_path):
    gnntrack.import_tracks(folder, out=tmp_path / "02_RES")
    assert name_fusions(gnntrack.load(tmp_path / "02_RES")) == [(2, 4, 1, 5)]


def test_napari_shows_a_track_with_two_parents(fused):
    data, properties, graph = fused.to_napari()
    assert graph == {4: [1, 2]}
    assert data[data[:, 0] == 1, 1].tolist() == list(range(5))
    assert data[data[:, 0] == 4, 1].tolist() == list(range(5, N_FRAMES))
    assert properties["root"][data[:, 0] == 4].tolist() == [1] * (N_FRAMES - 5)
    assert all(one < other for one, other in pairwise(data[:, :2].tolist()))


def test_a_fusion_whose_labels_were_painted_is_written_with_its_first_parent(folder, tmp_path):
    layers = {layer[2]: layer for layer in read_layers(str(folder))}
    labels, keywords, _ = layers["labels"]
    painted = np.stack([np.asarray(labels[frame]) for frame in range(N_FRAMES)])
    with pytest.warns(gnntrack.GnntrackWarning, match=r"track 4 has the parents \[1, 2\]: a merge"):
        write_layers(str(tmp_path / "02_RES"), [(painted, keywords, "labels"), layers["tracks"]])
    written = gnntrack.load(tmp_path / "02_RES")
    assert name_fusions(written) == []
    of_first = written.track == written.track[written.cells.row_of([0], [1])[0]]
    assert written.cells.frame[of_first].tolist() == list(range(N_FRAMES))  # the first parent goes on
    assert len(written) == 3


def test_cells_that_fuse_one_after_the_other_are_all_found():
    masks = np.zeros((N_FRAMES + 4, 60, 60), np.uint8)
    y, x = np.indices(masks.shape[1:])
    for frame in range(len(masks)):
        for label, centre, meet in ((1, (30, 24), 0), (2, (30, 36), 5), (3, (40.5, 30), 10)):
            near = np.hypot(y - centre[0], x - centre[1]) <= 6.2
            masks[frame][near] = 1 if frame >= meet else label
    lineage = gnntrack.track(masks=masks)
    assert [found[1::2] for found in name_fusions(lineage)] == [(4, 5), (9, 10)]
    assert list(lineage.to_napari().graph) == [4, 5]
    assert [len(parents) for parents in lineage.to_napari().graph.values()] == [2, 2]
    assert lineage.to_napari().graph[5][0] == 4


def test_a_networkx_graph_has_an_edge_for_a_fusion(fused):
    graph = fused.to_networkx()
    found = [(graph.nodes[one]["track"], graph.nodes[other]["track"]) for one, other in fused.fusions]
    assert found == [(2, 1)]
    assert [edge[:2] for edge in graph.edges(data="fusion") if edge[2]] == list(fused.fusions)


def test_the_table_of_tracks_and_the_page_list_fusions(folder, tmp_path):
    assert gnntrack.load(folder).to_pandas("tracks").fused_into.tolist() == [0, 1, 0]
    page = write_report(folder, tmp_path / "a.html").read_text()
    assert "1 track ends by fusion into another cell: track 2 into 1 in frame 5." in page
    assert '"1 fusion"' in page


def test_the_review_list_names_the_track_that_a_cell_fuses_into(folder):
    table = pd.read_csv(folder / "gnntrack" / "review.csv")
    assert "ends by fusion into track 1" in table.why[table.track == 2].tolist()[0]


def test_edits_keep_other_fusions_and_drop_those_that_they_contradict(folder):
    lineage = gnntrack.load(folder)
    label = lineage.cells.label.reshape(-1)

    def edit(kind, *cells):
        return name_fusions(edit_lineage(lineage, [Edit(kind, cells)]).lineage)

    assert set(label.tolist()) == {1, 2, 3}
    assert edit("cut", (8, 3), (9, 3)) == [(2, 4, 1, 5)]
    assert edit("spurious", (0, 3)) == [(2, 4, 1, 5)]
    assert edit("spurious", (4, 2)) == []
    assert edit("join", (4, 2), (5, 1)) == []


def test_cells_that_are_removed_take_their_fusions_with_them(fused):
    from gnntrack.lineage.families import select_families

    assert name_fusions(select_families(fused, fused.track != 3)) == [(2, 4, 1, 5)]
    assert name_fusions(select_families(fused, fused.track != 1)) == []
    out = gnntrack.track(masks=draw_fusion(), margin=3)
    assert name_fusions(out) == [(2, 4, 1, 5)]


def test_a_fusion_must_be_from_the_end_of_a_track_into_a_later_cell(fused):
    (row, into) = next(iter(fused.fusions))
    for wrong in ([row - 3], [into]), ([row], [row - 3]), ([row, into], [into, row]):
        with pytest.raises(FormatError, match="a fusion is not"):
            fused.with_fusions(Fusions(*wrong))
