import numpy as np
import pandas as pd
import pytest
from support.ctc_worlds import DIVIDES, build

import gnntrack
from gnntrack.errors import OutputError
from gnntrack.geometry import find_within
from gnntrack.io import tables
from gnntrack.io.tables import collect_cells, tabulate_cells, tabulate_links, tabulate_tracks, write_csv
from gnntrack.lineage import gains, open_tracks
from gnntrack.lineage.open_tracks import find_open_tracks
from gnntrack.types import Cells, Lineage, Tracks


@pytest.fixture
def family():
    """One cell moves, divides; one daughter goes on under a new label after a gap. 2 um x 1 um pixels.

    frame   0    1    2         3    4
    track   1 -- 1 -< 2 ------------ 4
                   `- 3 ------- 3
    """
    cells = Cells(
        frame=[0, 1, 2, 2, 3, 4],
        label=[9, 8, 1, 2, 5, 7],
        position=[[0, 0], [3, 4], [3, 4], [3, 5], [3, 6], [3, 8]],
        features=[[10, 0.5]] * 6,
        feature_names=("size", "eccentricity"),
        feature_units=("um2", ""),
        spacing=(2, 1),
        n_frames=5,
        shape=(20, 20),
        unit="um",
    )
    tracks = Tracks([1, 2, 3, 4], [0, 2, 2, 4], [1, 2, 3, 4], [0, 1, 1, 2])
    track = [1, 1, 2, 3, 3, 4]
    return Lineage(cells, track, tracks, [0, 1, 1, 2, 3], [1, 2, 3, 5, 4], [0.9, 0.8, 0.7, 0.5, 0.6])


def test_cells(family):
    table = tabulate_cells(family)
    assert list(table) == [
        "frame", "label", "track", "parent", "root", "generation", "age", "confidence", "y_um", "x_um",
        "displacement_um", "speed_um_per_frame", "size_um2", "eccentricity",
    ]  # fmt: skip
    assert table["parent"].tolist() == [0, 0, 1, 1, 1, 2]
    assert table["root"].tolist() == [1] * 6
    assert table["generation"].tolist() == [0, 0, 1, 1, 1, 1]
    assert table["age"].tolist() == [0, 1, 0, 0, 1, 0]
    np.testing.assert_allclose(table["confidence"], [np.nan, 0.9, 0.8, 0.7, 0.6, 0.5])
    np.testing.assert_allclose(table["displacement_um"], [np.nan, 5, 0, 1, 1, 4])
    np.testing.assert_allclose(table["speed_um_per_frame"], [np.nan, 5, 0, 1, 1, 2])


def test_tracks(family):
    table = tabulate_tracks(family).set_index("track")
    assert table["frames"].tolist() == [2, 1, 2, 1]
    assert table["cells"].tolist() == [2, 1, 2, 1]
    assert table["daughters"].tolist() == [2, 1, 0, 0]
    assert table["generation"].tolist() == [0, 1, 1, 1]
    np.testing.assert_allclose(table["confidence_mean"], [0.9, 0.8, 0.65, 0.5])
    np.testing.assert_allclose(table["confidence_lowest"], [0.9, 0.8, 0.6, 0.5])
    np.testing.assert_allclose(table["path_um"], [5, 0, 1, 0])
    np.testing.assert_allclose(table["net_displacement_um"], [5, 0, 1, 0])
    np.testing.assert_allclose(table["mean_speed_um_per_frame"], [5, np.nan, 1, np.nan])


def test_links_are_those_of_trackastra(family):
    table = tabulate_links(family)
    assert list(table) == ["source_frame", "source_label", "target_frame", "target_label", "weight"]
    assert table.iloc[3].tolist() == [2, 1, 4, 7, 0.5]


@pytest.mark.parametrize("make", [tabulate_cells, tabulate_tracks, tabulate_links])
def test_no_cell_no_row(make):
    lineage, _ = build({}, n_frames=2)
    table = make(lineage)
    assert len(table) == 0
    assert list(table) == list(make(build(DIVIDES, ndim=2)[0]))


def test_tables_of_3d(tmp_path):
    lineage, _ = build(DIVIDES, ndim=3)
    assert {"z_pixel", "y_pixel", "x_pixel"} <= set(tabulate_cells(lineage))
    np.testing.assert_allclose(tabulate_tracks(lineage)["path_pixel"], [3, 3, 3, 7])


def test_csv_reads_back_and_is_not_overwritten(tmp_path, family):
    file = tmp_path / "tracks.csv"
    write_csv(tabulate_tracks(family), file)
    pd.testing.assert_frame_equal(pd.read_csv(file), tabulate_tracks(family), rtol=1e-6, check_dtype=False)
    with pytest.raises(OutputError):
        write_csv(tabulate_tracks(family), file)
    write_csv(tabulate_links(family), file, overwrite=True)
    assert file.read_text().splitlines()[1] == "0,9,1,8,0.9"


def test_a_table_in_blocks_has_the_bytes_of_the_whole(tmp_path, monkeypatch):
    masks = np.zeros((5, 60, 60), np.uint8)
    masks[:4, 20:30, 10:20], masks[1:, 20:30, 40:50], masks[2, 40:45, 30:41] = 1, 2, 3
    masks[3, 30, 12:15] = 1
    lineage = gnntrack.track(masks=masks)
    write_csv(pd.DataFrame(collect_cells(lineage)), tmp_path / "whole.csv")
    monkeypatch.setattr(tables, "_BLOCK", 2)
    write_csv(tables.CellTable(lineage), tmp_path / "blocks.csv")
    assert (tmp_path / "blocks.csv").read_text() == (tmp_path / "whole.csv").read_text()
    numbers = {
        "whole": np.array([1, -0.0, 2]),
        "others": np.array([1, -0.0, 2.5]),
        "unknown": np.array([-0.0, 1, np.nan]),
    }
    write_csv(numbers, tmp_path / "numbers.csv")
    assert (tmp_path / "numbers.csv").read_text() == "whole,others,unknown\n1,1,-0\n0,-0,1\n2,2.5,\n"


def test_what_is_around_cells_does_not_depend_on_the_number_of_frames_at_a_time(monkeypatch):
    lineage = gnntrack.track(masks=gnntrack.simulate(frames=6, cells=12, seed=1001).masks)
    whole = gains.measure_surroundings(lineage, find_open_tracks(lineage))
    monkeypatch.setattr(gains, "_BLOCK", 20)
    parts = gains.measure_surroundings(lineage, find_open_tracks(lineage))
    for name, values in vars(whole).items():
        assert np.array_equal(getattr(parts, name), values), name
    assert whole.step.any()
    assert (whole.space < 3).any()


def test_ends_of_tracks_at_one_place_are_compared_with_those_of_near_frames_only(monkeypatch):
    frame = np.arange(200)
    none = np.zeros(0, np.int64)
    cells = Cells(frame, frame + 1, np.full((200, 2), 50.0), np.zeros((200, 0)), (), (), (1, 1), 200, (99, 99))
    lineage = Lineage(cells, frame + 1, Tracks(frame + 1, frame, frame, 0 * frame), none, none, none)
    monkeypatch.setattr(open_tracks, "_FRAMES", 1000)
    whole = find_open_tracks(lineage)
    found = []

    def count(*places):
        found.append(sum(map(len, find_within(*places))))
        return [[]] * len(places[0])

    monkeypatch.setattr(open_tracks, "_FRAMES", 8)
    for name, values in vars(find_open_tracks(lineage)).items():
        assert np.array_equal(values, getattr(whole, name)), name
    monkeypatch.setattr(open_tracks, "find_within", count)
    find_open_tracks(lineage)
    assert len(whole.partner_of_end) > 190
    assert sum(found) < 100 * len(whole.starts)
