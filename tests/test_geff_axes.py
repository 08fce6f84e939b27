"""Axes of GEFF files of other tools: time in frames and seconds, names and order, units, offsets, labels."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from gnntrack.errors import FormatError, GnntrackWarning

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from geff.core_io import write_arrays
    from geff_spec import Axis, GeffMetadata, RelatedObject
    from geff_spec._valid_values import VALID_SPACE_UNITS, VALID_TIME_UNITS

    from gnntrack.io.geff import read_graph, read_lineage
    from gnntrack.io.geff_axes import convert_times, sort_space_axes

from gnntrack.durations import is_duration_unit
from gnntrack.lengths import find_micrometres

TIME = {"name": "t", "type": "time"}
CELLS = {"t": [0, 1, 2], "y": [10.0, 11, 12], "x": [50.0, 51, 52], "seg_id": [1, 1, 1]}


def space(*names, **options):
    return [{"name": name, "type": "space", **options} for name in names]


def read(tmp_path, columns, axes, **metadata):
    """Write three cells of one track, and read them back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_arrays(
            str(tmp_path / "a.geff"),
            np.arange(3, dtype=np.uint64),
            {name: {"values": np.array(values), "missing": None} for name, values in columns.items()},
            np.array([[0, 1], [1, 2]], np.uint64),
            {},
            GeffMetadata(
                directed=True,
                axes=[Axis(**axis) for axis in axes] or None,
                node_props_metadata={},
                edge_props_metadata={},
                **metadata,
            ),
        )
    return read_lineage(tmp_path / "a.geff")


@pytest.mark.parametrize("unit", ["frames", "Frames", "frame", "timepoint", "timepoints", "index", "cycles", None])
def test_frames_stay_as_they_are_whatever_their_unit_is_called(tmp_path, unit):
    lineage = read(tmp_path, CELLS | {"t": [0, 2, 6]}, [TIME | {"unit": unit}, *space("y", "x")])
    assert lineage.cells.frame.tolist() == [0, 2, 6]


@pytest.mark.parametrize(
    ("unit", "times", "frames", "interval"),
    [
        ("second", [0.0, 30, 90], [0, 1, 3], 30.0),
        ("sec", [60.0, 120, 180], [1, 2, 3], 60.0),
        ("millisecond", [0.0, 33.333, 66.667], [0, 1, 2], 0.0333335),
        ("hour", [0.0, 0.1, 0.3], [0, 1, 3], 360.0),
        ("kilosecond", [0.0, 1, 2], [0, 1, 2], 1000.0),
        ("Minutes", [7.0, 17, 27], [0, 1, 2], 600.0),  # the first frame is not a multiple of the step
    ],
)
def test_times_are_counted_in_steps(tmp_path, unit, times, frames, interval):
    lineage = read(tmp_path, CELLS | {"t": times}, [TIME | {"unit": unit}, *space("y", "x")])
    assert lineage.cells.frame.tolist() == frames
    assert lineage.provenance.interval == pytest.approx(interval)


def test_many_rounded_times_do_not_drift():
    times = np.round(np.arange(5000) * 100 / 3, 3)
    frames = convert_times(times, Axis(name="t", type="time", unit="millisecond"))
    assert np.array_equal(frames, np.arange(5000))


@pytest.mark.parametrize("name", ["FRAME", "frame", "Frame", "TIMEPOINT", "t_index"])
def test_a_property_of_frames_is_used_beside_times(tmp_path, name):
    columns = CELLS | {"POSITION_T": [0.0, 10, 20], name: [0, 2, 4]}
    del columns["t"]
    axis = {"name": "POSITION_T", "type": "time", "unit": "second"}
    lineage = read(tmp_path, columns, [axis, *space("y", "x")])
    assert lineage.cells.frame.tolist() == [0, 2, 4]
    assert lineage.provenance.interval == 5.0


@pytest.mark.parametrize("frames", [[0, 0, 0], [4, 2, 0], [0, 1, 1], [0.5, 1, 2], [-1, 0, 1]])
def test_a_property_that_contradicts_the_times_is_not_used(tmp_path, frames):
    columns = CELLS | {"t": [0.0, 10, 20], "FRAME": frames}
    lineage = read(tmp_path, columns, [TIME | {"unit": "second"}, *space("y", "x")])
    assert lineage.cells.frame.tolist() == [0, 1, 2]


def test_seconds_with_a_scale_to_frames(tmp_path):
    axis = TIME | {"unit": "second", "scale": 0.1, "scaled_unit": "frame"}
    assert read(tmp_path, CELLS | {"t": [0.0, 20, 40]}, [axis, *space("y", "x")]).cells.frame.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y"),
        ("X", "Y"),
        ("POSITION_X", "POSITION_Y"),
        ("centroid_x", "centroid_y"),
        ("px", "py"),
        ("x_um", "y_um"),
        ("x [px]", "y [px]"),
        ("positionX", "positionY"),
        ("cellx", "celly"),
        ("col", "row"),
        ("centroid-1", "centroid-0"),
        ("x", "up"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_axes_are_ordered_by_name(names, turned):
    ordered, known = sort_space_axes([Axis(**axis) for axis in space(*(names[::-1] if turned else names))], None)
    assert known
    assert [axis.name for axis in ordered] == [*reversed(names)]


@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("col", "row"), ("POSITION_X", "POSITION_Y")])
def test_positions_are_in_the_order_of_the_axes(tmp_path, x, y):
    columns = {"t": [0, 1, 2], x: [50.0, 51, 52], y: [10.0, 11, 12], "seg_id": [1, 1, 1]}
    assert read(tmp_path, columns, [*space(x, y), TIME]).cells.position[0].tolist() == [10, 50]


@pytest.mark.parametrize("names", ["xyz", "ZXY", "yZx", ("POSITION_X", "POSITION_Y", "POSITION_Z")])
def test_three_axes_are_ordered_by_name(tmp_path, names):
    values = {"x": [50.0, 51, 52], "y": [10.0, 11, 12], "z": [1.0, 2, 3]}
    columns = {"t": [0, 1, 2], "seg_id": [1, 1, 1]} | {name: values[name[-1].lower()] for name in names}
    scale = {"x": 0.5, "y": 0.5, "z": 2.0}
    axes = [{"name": name, "type": "space", "scale": scale[name[-1].lower()], "scaled_unit": "um"} for name in names]
    cells = read(tmp_path, columns, [TIME, *axes]).cells
    assert (cells.position[0].tolist(), cells.spacing) == ([2, 5, 25], (2.0, 0.5, 0.5))


@pytest.mark.parametrize("names", [("first", "second"), ("a", "b"), ("lat", "lon"), ("u", "v"), ("axis1", "axis2")])
def test_other_names_are_in_the_order_of_hints_or_of_the_file(tmp_path, names):
    columns = {"t": [0, 1, 2], names[0]: [50.0, 51, 52], names[1]: [10.0, 11, 12], "seg_id": [1, 1, 1]}
    hints = {"display_horizontal": names[0], "display_vertical": names[1]}
    lineage = read(tmp_path, columns, [*space(*names), TIME], display_hints=hints)
    assert lineage.cells.position[0].tolist() == [10, 50]
    (tmp_path / "b").mkdir()
    with pytest.warns(GnntrackWarning, match="do not show which is x"):
        lineage = read(tmp_path / "b", columns, [*space(*names), TIME])
    assert lineage.cells.position[0].tolist() == [50, 10]


@pytest.mark.parametrize("names", ["tyx", "TYX", ("POSITION_T", "POSITION_Y", "POSITION_X"), ("FRAME", "Y", "X")])
def test_properties_are_found_without_axes(tmp_path, names):
    columns = dict(zip([*names, "label"], [*list(CELLS.values())[:3], [3, 3, 3]], strict=True))
    cells = read(tmp_path, columns, []).cells
    assert cells.position[0].tolist() == [10, 50]
    assert (cells.frame.tolist(), cells.label.tolist()) == ([0, 1, 2], [3, 3, 3])


@pytest.mark.parametrize(
    ("unit", "spacing"),
    [
        ("angstrom", 5e-5),
        ("meter", 5e5),
        ("picometer", 5e-7),
        ("nanometer", 5e-4),
        ("millimeter", 500.0),
        ("inch", 12700.0),
        ("micrometre", 0.5),
        ("\N{MICRO SIGN}m", 0.5),
        ("\N{GREEK SMALL LETTER MU}m", 0.5),
        ("microns", 0.5),
    ],
)
def test_units_of_length_become_micrometres(tmp_path, unit, spacing):
    cells = read(tmp_path, CELLS, [TIME, *space("y", "x", unit="pixel", scale=0.5, scaled_unit=unit)]).cells
    assert (cells.unit, cells.spacing) == ("um", (spacing, spacing))
    assert cells.position[0] == pytest.approx([10 * spacing, 50 * spacing])
    assert cells.shape == (13, 53)


def test_every_unit_of_the_specification_is_known():
    lengths = {unit: find_micrometres(unit) for unit in VALID_SPACE_UNITS}
    assert [unit for unit, length in lengths.items() if length is None] == ["pixel"]
    assert lengths["micrometer"] == 1
    assert lengths["kilometer"] == 1e9
    assert find_micrometres("decameter") == 1e7
    assert lengths["yard"] == 3 * lengths["foot"] == 36 * lengths["inch"]
    assert [unit for unit in VALID_TIME_UNITS if not is_duration_unit(unit)] == ["frame"]


@pytest.mark.parametrize("unit", ["furlong", "a.u.", "tile", "micro", "gram"])
def test_unknown_units_are_named(tmp_path, unit):
    with pytest.warns(GnntrackWarning, match=f"unit '{unit}' .* not a known length"):
        cells = read(tmp_path, CELLS, [TIME, *space("y", "x", unit=unit)]).cells
    assert cells.unit == "pixel"


@pytest.mark.parametrize(
    ("unit", "scale", "offset", "position"),
    [
        ("micrometer", 0.5, (100.0, 200.0), [105, 225]),
        ("micrometer", None, (1.0, -60.0), [11, -10]),
        ("nanometer", 500.0, (1000.0, 0.0), [6, 25]),
        ("pixel", None, (5.0, 6.0), [15, 56]),
        ("meter", 1e-6, (2e-3, 1e-3), [2010, 1050]),
    ],
)
def test_offsets_are_added_and_the_frame_is_not_enlarged(tmp_path, unit, scale, offset, position):
    scaled = {"unit": "pixel", "scale": scale, "scaled_unit": unit} if scale else {"unit": unit}
    axes = [{"name": name, "type": "space", "offset": each} | scaled for name, each in zip("yx", offset, strict=True)]
    cells = read(tmp_path, CELLS, [TIME, *axes]).cells
    assert cells.position[0] == pytest.approx(position)
    assert cells.shape == (13, 53)


@pytest.mark.parametrize("name", ["nucleus", "LABEL", "my label", "region_id", "tracklet"])
def test_label_prop_names_the_labels(tmp_path, name):
    columns = CELLS | {name: [4, 5, 6]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        related = [RelatedObject(type="labels", path="../a.zarr", label_prop=name)]
    lineage = read(tmp_path, columns, [TIME, *space("y", "x")], related_objects=related)
    assert lineage.cells.label.tolist() == [4, 5, 6]


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"area": [1, 2, 3]},
        {"label": ["a", "b", "c"]},
        {"LABEL": ["ID1", "ID2", "ID3"], "QUALITY": [1, 1, 1]},
        {"track_id": [1, 1, 1]},
    ],
)
def test_a_file_without_labels_holds_points_and_no_candidates(tmp_path, others):
    columns = {name: values for name, values in CELLS.items() if name != "seg_id"} | others
    cells = read(tmp_path, columns, [TIME, *space("y", "x")]).cells
    assert cells.points
    assert (cells.frame.tolist(), cells.label.tolist()) == ([0, 1, 2], [1, 1, 1])
    with pytest.raises(FormatError, match=r"no property 'seg_id'.*related_objects.*gnntrack track --points") as caught:
        read_graph(tmp_path / "a.geff")
    assert all(f"'{name}'" in str(caught.value) for name in columns)
