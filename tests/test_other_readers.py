"""Files that ``gnntrack convert`` writes, in the readers of other programs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.exchange import write_result
from support.readers import import_reader, read_as_mastodon, read_as_trackastra_importer

import gnntrack
from gnntrack.converting import convert

pytestmark = pytest.mark.filterwarnings("ignore")  # of the readers and of the packages that they import


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A result folder with divisions and a cell of one frame."""
    return write_result(tmp_path_factory.mktemp("result"))


@pytest.fixture(scope="module")
def lineage(result):
    return gnntrack.load(result)


def list_links(lineage):
    """Return the links by frame and position in pixels of both ends."""
    cells = lineage.cells
    place = np.round(cells.position / cells.spacing, 2)
    keys = [(int(frame), *each) for frame, each in zip(cells.frame, place.tolist(), strict=True)]
    return {(keys[a], keys[b]) for a, b in zip(lineage.source.tolist(), lineage.target.tolist(), strict=True)}


def test_traccuracy_scores_a_converted_result_as_perfect(result, lineage, tmp_path):
    traccuracy = import_reader("traccuracy")
    loaders, metrics = import_reader("traccuracy.loaders"), import_reader("traccuracy.metrics")
    matchers = import_reader("traccuracy.matchers")
    convert(result, tmp_path / "a.xml")  # by the outlines of TrackMate, with other numbers of tracks
    convert(tmp_path / "a.xml", tmp_path / "02_RES")
    both = [loaders.load_ctc_data(str(each), str(each / "res_track.txt")) for each in (result, tmp_path / "02_RES")]
    assert both[0].graph.number_of_edges() == len(lineage.source)
    found, _ = traccuracy.run_metrics(*both, matchers.CTCMatcher(), [metrics.CTCMetrics(), metrics.DivisionMetrics()])
    scores = {name: value for each in found for name, value in each["results"].items()}
    assert scores["TRA"] == scores["DET"] == scores["LNK"] == 1
    divisions = scores["Frame Buffer 0"]
    assert divisions["Division F1"] == 1
    assert divisions["Total GT Divisions"] == len(lineage.divisions) > 0


def test_traccuracy_reads_the_geff(result, lineage, tmp_path):
    loaders = import_reader("traccuracy.loaders")
    convert(result, tmp_path / "a.geff")
    graph = loaders.load_geff_data(str(tmp_path / "a.geff")).graph
    assert set(graph.edges) == set(zip(lineage.source.tolist(), lineage.target.tolist(), strict=True))
    assert len(graph) == len(lineage.cells)


def test_traccuracy_reads_the_table_for_mastodon(result, lineage, tmp_path):
    loaders = import_reader("traccuracy.loaders")
    convert(result, tmp_path / "a.mastodon.csv")
    # traccuracy 0.4.3 goes through the rows with pandas, which makes all ids floats unless a column is text
    table = pd.read_csv(tmp_path / "a.mastodon.csv").assign(name="cell")
    graph = loaders.load_point_data(
        df=table,
        id_column="id",
        parent_column="parent_id",
        pos_columns=("z_um", "y_um", "x_um"),
        time_column="frame",
    ).graph
    assert set(graph.edges) == set(zip((lineage.source + 1).tolist(), (lineage.target + 1).tolist(), strict=True))


def test_mastodon_reads_its_table(result, lineage, tmp_path):
    convert(result, tmp_path / "a.mastodon.csv")
    spots, links = read_as_mastodon(tmp_path / "a.mastodon.csv", "x_um", "y_um", "z_um")
    assert sorted(links) == sorted(zip((lineage.source + 1).tolist(), (lineage.target + 1).tolist(), strict=True))
    rows = [spots[row + 1] for row in range(len(lineage.cells))]
    assert [row[0] for row in rows] == lineage.cells.frame.tolist()
    np.testing.assert_allclose([row[1:3] for row in rows], lineage.cells.position[:, ::-1], atol=1e-5)


def test_laptrack_makes_the_tree_of_its_table(result, lineage, tmp_path):
    conversion = import_reader("laptrack").data_conversion
    convert(result, tmp_path / "a.laptrack.csv")
    table = pd.read_csv(tmp_path / "a.laptrack.csv")
    born = table.dropna(subset="parent_track_id").drop_duplicates("track_id")
    splits = pd.DataFrame(
        {"parent_track_id": born.parent_track_id.astype(int), "child_track_id": born.track_id.astype(int)}
    )
    none = splits.iloc[:0]
    tree, coordinates = conversion.dataframes_to_tree_coords(table, splits, none, ["y", "x"])
    place = {node: np.round(coordinates[node[0]][node[1]], 2).tolist() for node in tree.nodes}
    found = {((int(a[0]), *place[a]), (int(b[0]), *place[b])) for a, b in tree.edges}
    assert found == list_links(lineage)
    assert len(tree) == len(lineage.cells)


def test_the_table_of_links_is_what_trackmate_trackastra_reads(result, lineage, tmp_path):
    convert(result, tmp_path / "a.edges.csv")
    links = read_as_trackastra_importer(tmp_path / "a.edges.csv")
    cells = lineage.cells
    ends = [cells.frame[lineage.source], cells.label[lineage.source]]
    ends += [cells.frame[lineage.target], cells.label[lineage.target]]
    assert sorted(each[:4] for each in links) == sorted(zip(*(each.tolist() for each in ends), strict=True))
    assert all(0 <= weight <= 1 for *_, weight in links)
    # Trackastra sorts its table by these columns, and so do we
    assert [each[:4] for each in links] == sorted(each[:4] for each in links)


def test_napari_makes_a_layer_of_its_table(result, lineage, tmp_path):
    layers = import_reader("napari.layers")
    convert(result, tmp_path / "a.csv")
    table = pd.read_csv(tmp_path / "a.csv")
    parents = table.groupby("track_id").parent.first()
    graph = {track: [parent] for track, parent in parents.items() if parent}
    layer = layers.Tracks(table[["track_id", "t", "y", "x"]].to_numpy(), graph=graph, features=table)
    assert len(layer.graph) == 2 * len(lineage.divisions)
    np.testing.assert_array_equal(np.unique(layer.data[:, 0]), lineage.tracks.id)
    np.testing.assert_array_equal(layer.features["label"], table.label)
