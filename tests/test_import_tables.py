"""Tables for import as spreadsheets write them; tables of links that cannot be used; spots that lie on each other."""

from __future__ import annotations

import numpy as np
import pytest
from test_importing import DIVIDING, EDGES, SPOTS, make_tracked, write_xml

from gnntrack import GnntrackWarning, InputError, import_tracks, track
from gnntrack.io.delimited import read_delimited

CELLS = "frame,label,track,parent\n" + "".join(f"{t},3,1,0\n{t},9,2,0\n" for t in range(3))


def with_semicolons(text):
    return text.replace(",", ";").encode()


def with_tabs(text):
    return text.replace(",", "\t").encode()


def with_a_separator_line(text):
    return b"sep=;\r\n" + with_semicolons(text).replace(b"\n", b"\r\n")


def with_a_mark(text):
    return b"\xef\xbb\xbf" + with_semicolons(text)


def as_unicode_text(text):
    return text.replace(",", "\t").encode("utf-16")


def with_an_umlaut(text):
    first, _, rest = text.partition("\n")
    return f"{first};Größe\n{rest}".replace(",", ";").encode("cp1252")


def with_spaces_and_blank_lines(text):
    return b"\n" + text.replace(",", " , ").replace("\n", "\n\n").encode()


DIALECTS = [
    with_semicolons,
    with_tabs,
    with_a_separator_line,
    with_a_mark,
    as_unicode_text,
    with_an_umlaut,
    with_spaces_and_blank_lines,
]


@pytest.mark.parametrize("write", DIALECTS)
@pytest.mark.filterwarnings("ignore::gnntrack.GnntrackWarning")
def test_tables_of_spreadsheets_are_read(write, tmp_path):
    (tmp_path / "cells.csv").write_bytes(write(CELLS))
    assert len(import_tracks(tmp_path / "cells.csv", masks=make_tracked(3))) == 2
    (tmp_path / "parents.csv").write_bytes(write("track,parent\n9,3\n"))
    masks = make_tracked(4)
    masks[2:][masks[2:] == 3] = 0
    masks[:2][masks[:2] == 9] = 0
    assert (len(import_tracks(masks)), len(import_tracks(masks, links=tmp_path / "parents.csv"))) == (2, 1)
    (tmp_path / "spots.csv").write_bytes(write(SPOTS))
    assert len(import_tracks(tmp_path / "spots.csv").divisions) == 1


@pytest.mark.parametrize("number", ["10,5", " 10,5 ", "1,05e1", "+10,5", "10,50"])
@pytest.mark.filterwarnings("ignore::gnntrack.GnntrackWarning")
def test_numbers_with_decimal_commas(number, tmp_path):
    text = f"ID;FRAME;POSITION_X;POSITION_Y;TRACK_ID\n1;0;{number};5,25;0\n2;1;{number};6;0\n"
    (tmp_path / "a.csv").write_text(text)
    lineage = import_tracks(tmp_path / "a.csv", masks=np.ones((2, 9, 30), np.uint8), trust_masks=True)
    assert len(lineage.source) == 1
    assert float(read_delimited(tmp_path / "a.csv").rows[0]["POSITION_X"]) == 10.5


X_COLUMNS = [
    (",", ["10,5", "5,25"], [10.5, 5.25]),
    (",", ["1,234", "11,5"], [1.234, 11.5]),
    (",", ["1,234", "11.5"], [1234, 11.5]),
    (",", ["1,234.5", "7"], [1234.5, 7]),
    (",", ["0,123", "1,234"], [0.123, 1.234]),
    (",", ["1,234,567", "1,234"], [1234567, 1234]),
    (";", ["1.234,5", "1.000"], [1234.5, 1000]),
    (";", ["1 234,5", "7"], [1234.5, 7]),
    (";", ["1\u202f234,5", "-7,25"], [1234.5, -7.25]),
    (";", ["1'234.5", "7.25"], [1234.5, 7.25]),
    (";", ["1,234", "7"], [1.234, 7]),
    (";", ["1.234", "7.250"], [1.234, 7.25]),
    ("\t", ["1,234", "7,5"], [1.234, 7.5]),
    ("\t", ["1,234", "7.5"], [1234, 7.5]),
]


@pytest.mark.parametrize(("delimiter", "texts", "numbers"), X_COLUMNS)
def test_numbers_of_other_languages(delimiter, texts, numbers, tmp_path):
    rows = [[str(k), str(k), f'"{text}"', "5", "0"] for k, text in enumerate(texts)]
    lines = [["ID", "FRAME", "POSITION_X", "POSITION_Y", "TRACK_ID"], *rows]
    (tmp_path / "a.csv").write_text("\n".join(map(delimiter.join, lines)), encoding="utf-8")
    assert [float(row["POSITION_X"]) for row in read_delimited(tmp_path / "a.csv").rows] == numbers


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize(("place", "name"), [(2, "POSITION_X"), (3, "POSITION_Y"), (1, "FRAME")])
def test_numbers_that_can_be_read_in_two_ways_are_refused(delimiter, place, name, tmp_path):
    row = ["1", "0", "7", "5", "0"]
    row[place] = '"1,234"'
    lines = [["ID", "FRAME", "POSITION_X", "POSITION_Y", "TRACK_ID"], row]
    (tmp_path / "a.csv").write_text("\n".join(map(delimiter.join, lines)))
    with pytest.raises(
        InputError, match=rf"{name} of spot 1 is '1,234', which could be 1\.234 or 1234: .*decimal points"
    ):
        import_tracks(tmp_path / "a.csv")


@pytest.mark.parametrize("label", ['"1,000"', '"12,345"'])
def test_labels_that_can_be_read_in_two_ways_are_refused(label, tmp_path):
    (tmp_path / "a.csv").write_text(f"frame,label,track\n0,{label},1\n1,{label},1\n")
    with pytest.raises(InputError, match=r"line 2 has a value that is not a number in label: .*which could be"):
        import_tracks(tmp_path / "a.csv", masks=make_tracked())


@pytest.mark.parametrize(
    ("names", "twice"),
    [
        ("frame,label,track,label", "label"),
        ("frame,Frame ,label,track", "frame"),
        ("frame,label,track,TRACK", "track"),
        ("frame;label;track;parent;parent", "parent"),
        ("ID,FRAME,POSITION_X,POSITION_Y,TRACK_ID,position x", "POSITION_X"),
        ("ID,ID,FRAME,POSITION_X,POSITION_Y,TRACK_ID", "ID"),
    ],
)
def test_a_column_that_is_there_twice_is_refused(names, twice, tmp_path):
    n = names.count(",") + names.count(";") + 1
    (tmp_path / "a.csv").write_text(names + ("\n" + ",".join("0" * n)) * 2)
    with pytest.raises(InputError, match=f"the column {twice} is there 2 times .*rename all but one"):
        import_tracks(tmp_path / "a.csv", masks=make_tracked())


@pytest.mark.parametrize(
    "names",
    [
        "Frame,LABEL,Track",
        " frame , label,track ",
        "# frame,label,track",
        "frame,label,track,,",
        "x,x,frame,label,track",
    ],
)
def test_names_of_columns_may_differ_in_case_and_spaces(names, tmp_path):
    fields = [
        {"frame": "{t}", "label": "3", "track": "1"}.get(name.strip("# ").lower(), "5") for name in names.split(",")
    ]
    rows = [",".join(fields).format(t=t) for t in range(3)]
    (tmp_path / "a.csv").write_text("\n".join([names, *rows]))
    assert len(import_tracks(tmp_path / "a.csv", masks=make_tracked(3)).source) == 2


@pytest.mark.parametrize("parent", ["", "NaN", "none", "NULL", "-1", "0.0", "n/a"])
def test_tracks_without_a_parent(parent, tmp_path):
    (tmp_path / "links.csv").write_text(f"track,parent\n3,{parent}\n9,3\n")
    masks = make_tracked(4)
    masks[2:][masks[2:] == 3] = 0
    masks[:2][masks[:2] == 9] = 0
    assert len(import_tracks(masks, links=tmp_path / "links.csv")) == 1


@pytest.mark.parametrize("parent", ["x", "7.5", "cell 3", "?", "1e99"])
def test_parents_that_are_not_numbers_are_refused(parent, tmp_path):
    (tmp_path / "a.csv").write_text(f"frame,label,track,parent\n0,3,1,\n1,3,1,{parent}\n")
    with pytest.raises(InputError, match="line 3 has a value that is not a number in parent"):
        import_tracks(tmp_path / "a.csv", masks=make_tracked())


def test_tables_of_other_masks_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("frame,label,track\n0,103,1\n1,103,1\n2,103,1\n")
    with pytest.raises(InputError, match="no link of the table is between two cells of the masks"):
        import_tracks(tmp_path / "a.csv", masks=make_tracked())


@pytest.mark.parametrize("bad", ["x2,1,5,5,0", ",1,5,5,0", "-,1,5,5,0"])
def test_spots_without_an_id_are_refused(bad, tmp_path):
    (tmp_path / "a.csv").write_text(f"ID,FRAME,POSITION_X,POSITION_Y,TRACK_ID\n1,0,5,5,0\n{bad}\n3,2,4,4,0\n")
    with pytest.raises(InputError, match="line 3 has a value that is not a number in ID"):
        import_tracks(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("unit", "per_um"),
    [
        ("(micron)", 1),
        ("(nm)", 1000),
        ("(mm)", 1e-3),
        ("(µm)", 1),
        ("(cm)", 1e-4),
        ("(pixel)", None),
        ("(pixels)", None),
    ],
)
@pytest.mark.parametrize("spacing", [None, 0.5])
@pytest.mark.filterwarnings("ignore::gnntrack.GnntrackWarning")
def test_the_unit_of_a_table_of_trackmate(unit, per_um, spacing, tmp_path):
    k = per_um or 1
    rows = [f",,{unit},{unit},{unit},", f"1,0,{10 * k},{5 * k},{2 * k},0", f"2,1,{11 * k},{6 * k},{2 * k},0"]
    (tmp_path / "a.csv").write_text("\n".join(["ID,FRAME,POSITION_X,POSITION_Y,RADIUS,TRACK_ID", *rows]))
    lineage = import_tracks(tmp_path / "a.csv", spacing=spacing and (spacing, spacing))
    assert lineage.cells.unit == ("pixel" if spacing is None and per_um is None else "um")
    per_pixel = spacing if spacing and per_um is None else 1
    np.testing.assert_allclose(lineage.cells.position / per_pixel, [[5, 10], [6, 11]], atol=0.3)


@pytest.mark.parametrize("rows", ["1,0,10,5,5,0\n2,1,10,5,6,0\n", "1,0,10,5,25,0\n"])
def test_decimal_commas_among_commas_are_refused_with_the_remedy(rows, tmp_path):
    (tmp_path / "a.csv").write_text("ID,FRAME,POSITION_X,POSITION_Y,TRACK_ID\n" + rows)
    with pytest.raises(InputError, match=r"line 2 has 6 fields for 5 columns; .*semicolons"):
        import_tracks(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.xlsx", "a.xls", "a.ods", "a.csv"])
def test_files_that_are_not_text_are_refused_with_the_remedy(name, tmp_path):
    (tmp_path / name).write_bytes(b"PK\x03\x04\0\0\xff\x81\x8d")
    with pytest.raises(InputError, match="as CSV"):
        import_tracks(tmp_path / name, masks=make_tracked())


def make_source(kind, folder):
    if kind == "xml":
        return write_xml(folder / "m.xml", DIVIDING, EDGES)
    track(masks=make_tracked(), out=folder / "01_RES", output__pictures=False)
    return {
        "result": folder / "01_RES",
        "geff": folder / "01_RES" / "gnntrack" / "lineage.geff",
        "string": str(folder / "01_RES"),
    }[kind]


@pytest.mark.parametrize("kind", ["xml", "result", "geff", "string"])
def test_links_beside_a_source_that_holds_its_links_are_refused(kind, tmp_path):
    (tmp_path / "links.csv").write_text("track,parent\n2,1\n")
    with pytest.raises(InputError, match=r"holds its links, .*omit links \(--links\)"):
        import_tracks(make_source(kind, tmp_path), links=tmp_path / "links.csv")


def test_links_are_parents_of_a_table_of_cells(tmp_path):
    rows = [f"{t},{label},{label}" for t, label in ((0, 3), (1, 3), (2, 9), (3, 9))]
    (tmp_path / "cells.csv").write_text("\n".join(["frame,label,track", *rows]))
    (tmp_path / "links.csv").write_text("track,parent\n9,3\n")
    assert len(import_tracks(tmp_path / "cells.csv", masks=make_tracked())) == 10  # two, and cells of no row
    assert len(import_tracks(tmp_path / "cells.csv", masks=make_tracked(), links=tmp_path / "links.csv")) == 9
    (tmp_path / "links.csv").write_text("track,parent\n77,3\n")
    with pytest.raises(InputError, match="77 is not a track of the table"):
        import_tracks(tmp_path / "cells.csv", masks=make_tracked(), links=tmp_path / "links.csv")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("77,3", "1 of 1 row .* such as 77"),
        ("9,77", "1 of 1 row .* such as 77"),
        ("77,88", "1 of 1 row .* such as 77"),
        ("9,0\n77,3\n9,78", "2 of 2 rows .* such as 77"),
        ("77,3\n78,3\n79,3", "3 of 3 rows .* such as 77"),
    ],
)
def test_rows_of_unknown_tracks_are_told(rows, message, tmp_path):
    (tmp_path / "links.csv").write_text(f"track,parent\n{rows}\n")
    with pytest.warns(GnntrackWarning, match=message):
        import_tracks(make_tracked(), links=tmp_path / "links.csv")


@pytest.mark.parametrize("distance", [0, 0.1, 0.2, 0.3, 0.5, 1, 3])
@pytest.mark.parametrize("n", [2, 5])
def test_spots_on_each_other_stay_cells_of_their_own(distance, n, tmp_path):
    spots = [(f"{k}-{t}", t, 10 + distance * k, 10, 0, "") for t in range(3) for k in range(n)]
    edges = [("0", f"{k}-{t}", f"{k}-{t + 1}") for t in range(2) for k in range(n)]
    file = write_xml(tmp_path / "m.xml", spots, edges)
    with pytest.MonkeyPatch.context() as patch:
        heard = []
        patch.setattr("gnntrack.user_warnings.warnings.warn", lambda text, *_, **__: heard.append(text))
        lineage = import_tracks(file)
    assert [len(each) for each in lineage] == [3] * n
    expected = [True] if distance < 0.25 or (distance == 0.3 and n == 5) else []
    assert ["have the same place as another spot" in text for text in heard] == expected


def test_spots_that_share_a_mask(tmp_path):
    spots = [(f"{k}-{t}", t, 10 + k, 10, 0, "") for t in range(3) for k in range(3)]
    edges = [("0", f"{k}-{t}", f"{k}-{t + 1}") for t in range(2) for k in range(3)]
    file = write_xml(tmp_path / "m.xml", spots, edges)
    masks = np.zeros((3, 50, 60), np.uint8)
    masks[:, 10:30, 10:40], masks[:, 40:45, 40:45] = 1, 2
    with pytest.warns(GnntrackWarning) as heard:
        lineage = import_tracks(file, masks=masks)
    assert len(lineage) == 4
    assert ["9 of 9 spots, such as in frame 0, share their mask" in str(each.message) for each in heard] == [True]
