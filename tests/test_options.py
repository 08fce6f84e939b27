"""Options of the recipes as plain keywords, settings that are written wrongly, and progress=True."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import tifffile
from support.movies import dividing_masks, images_of

import gnntrack
from gnntrack import pipeline
from gnntrack.batch import find_positions, track_positions
from gnntrack.errors import OptionError, OutputError, SettingsError
from gnntrack.settings import GraphSettings, Settings, SimulateSettings

MASKS = dividing_masks()


def links(lineage):
    return list(zip(lineage.source.tolist(), lineage.target.tolist(), strict=True))


@pytest.mark.parametrize(
    ("keyword", "setting"),
    [
        ({"max_gap": 1}, {"graph__max_gap": 1}),
        ({"max_distance": 3}, {"graph__max_distance": 3}),
        ({"divisions": False}, {"solver__divisions": False}),
        ({"spacing": 0.5}, {"frames__spacing": 0.5}),
        ({"link_threshold": 0.9}, {"solver__link_threshold": 0.9}),
        ({"fill_gaps": False, "margin": 2}, {"repair__fill_gaps": False, "repair__margin": 2}),
        ({"cells__neighbours": 2}, {"cells__neighbours": 2}),
        ({"max_gap": np.int64(3), "max_distance": np.float32(4)}, {"graph__max_gap": 3, "graph__max_distance": 4}),
        ({"spacing": np.array([0.5, 0.25]), "drift": None}, {"frames__spacing": (0.5, 0.25)}),
    ],
)
def test_a_keyword_is_the_setting_of_its_name(keyword, setting):
    plain, long = (
        gnntrack.track(masks=MASKS, **keyword),
        gnntrack.track(masks=MASKS, settings=Settings().replace(**setting)),
    )
    assert links(plain) == links(long)
    assert plain.cells.spacing == long.cells.spacing
    graph, same = (gnntrack.build_graph(masks=MASKS, max_gap=1), gnntrack.build_graph(masks=MASKS))
    assert len(graph) < len(same)


def test_keywords_stand_above_settings():
    settings = Settings().replace(solver__divisions=True, graph__max_gap=1)
    lineage = gnntrack.track(images_of(MASKS), MASKS, settings=settings, divisions=False)
    assert lineage.divisions == []
    assert settings.solver.divisions
    assert len(gnntrack.solve(gnntrack.build_graph(masks=MASKS), divisions=False).divisions) == 0
    assert len(gnntrack.build_graph(masks=MASKS, settings=settings, max_gap=None)) == len(
        gnntrack.build_graph(masks=MASKS, max_gap=1)
    )


def test_a_network_and_its_device_are_keywords():
    lineage = gnntrack.track(images_of(MASKS), MASKS, method="gnn", device="cpu", model=None, max_gap=2)
    assert lineage.provenance.method == "gnn"
    with pytest.raises(gnntrack.InputError, match="nowhere: no such model"):
        gnntrack.track(images_of(MASKS), MASKS, method="gnn", model=Path("nowhere"))


@pytest.mark.parametrize(
    ("function", "keyword", "remedy"),
    [
        ("track", "max_distanc", "did you mean 'max_distance'?"),
        ("track", "spaceing", "did you mean 'spacing'?"),
        ("track", "maxgap", "did you mean 'max_gap'?"),
        ("track", "Device", "did you mean 'device'?"),
        ("track", "mask", "did you mean 'masks'?"),
        ("track", "neighbours", "write cells__neighbours or motion__neighbours"),
        ("track", "learning_rate", "an option of gnntrack.training.train()"),
        ("track", "frames", "an option of simulate()"),
        ("track", "xyzzy", "there are: images, masks, out, method"),
        ("build_graph", "max_gaps", "did you mean 'max_gap'?"),
        ("build_graph", "divisions", "an option of solve() and track()"),
        ("solve", "max_gap", "an option of build_graph() and track()"),
        ("solve", "graph__max_gap", "no option 'graph__max_gap'"),
        ("solve", "divison", "did you mean 'divisions'?"),
    ],
)
def test_a_wrong_keyword_proposes_the_right_one(function, keyword, remedy):
    with pytest.raises(TypeError) as error:
        getattr(gnntrack, function)(**({} if function == "solve" else {"masks": MASKS}), **{keyword: 1})
    assert isinstance(error.value, OptionError)
    assert f"{function}() has no option '{keyword}'" in str(error.value)
    assert remedy in str(error.value)


@pytest.mark.parametrize(
    ("keyword", "told"),
    [
        ({"max_gap": 0}, r"track\(\): max_gap=0: expected an integer >= 1"),
        ({"max_gap": "many"}, r"max_gap='many': expected an integer >= 1"),
        ({"max_distance": -1}, r"max_distance=-1: expected a number > 0"),
        ({"device": "gpu"}, r"device='gpu': expected one of 'auto', 'cpu', 'cuda', 'mps'"),
        ({"divisions": "maybe"}, r"divisions='maybe': expected true or false"),
        ({"fragments": "eat", "max_gap": 0}, r"fragments='eat': expected one of .*; max_gap=0: expected"),
        ({"max_gap": True}, r"track\(\): max_gap=True: expected an integer >= 1"),
        ({"channel": True}, r"channel=True: expected an integer"),
        ({"max_distance": True}, r"max_distance=True: expected a number > 0"),
        ({"spacing": True}, r"spacing=True: expected 1 to 3 numbers"),
        ({"background": np.bool_(True)}, r"background=True: expected an integer"),
        ({"interval": False}, r"interval=False: expected a number"),
        ({"settings": {"max_gap": 3}, "max_gap": 2}, r"expected Settings, such as .*; write single ones as keywords"),
    ],
)
def test_a_value_out_of_range_is_told_by_its_keyword(keyword, told):
    with pytest.raises(gnntrack.InputError, match=told):
        gnntrack.track(masks=MASKS, **keyword)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Settings(max_distance=20), r"belongs to the table graph: .*Settings\(graph={'max_distance': 20}\)"),
        (lambda: Settings(divisions=False), r"track\(images, masks, divisions=False\)"),
        (lambda: Settings(max_gaps=3), r"unknown setting 'max_gaps'"),
        (lambda: Settings(grap={}), r"did you mean 'graph'\?"),
        (lambda: Settings(graph={"max_gaps": 3}), r"unknown setting 'graph.max_gaps'; did you mean 'graph.max_gap'\?"),
        (lambda: Settings(graph={"max_gap": 0}), r"'graph.max_gap' = 0: expected an integer >= 1"),
        (lambda: GraphSettings(max_gap=0), r"'max_gap' = 0: expected an integer >= 1"),
        (lambda: GraphSettings(max_gaps=0), r"did you mean 'max_gap'\?"),
        (lambda: SimulateSettings(shape=(0, 5)), r"^the shape of a frame and the size of a pixel are positive"),
    ],
)
def test_settings_are_refused_in_sentences(make, told):
    with pytest.raises(SettingsError, match=told) as error:
        make()
    assert "pydantic" not in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_take_tables_of_their_own():
    assert Settings(graph=GraphSettings(max_gap=3)) == Settings(graph={"max_gap": 3})


def test_signatures_list_the_options():
    assert {"images", "masks", "max_gap", "device", "spacing", "segmenter"} <= set(
        inspect.signature(gnntrack.track).parameters
    )
    assert "frames" in inspect.signature(pipeline.simulate).parameters
    assert "max_gap" not in inspect.signature(gnntrack.solve).parameters


def test_progress_shows_a_bar_or_calls_a_function(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    gnntrack.track(images_of(MASKS), MASKS, progress=True)
    assert "cells" in capsys.readouterr().err
    stages = set()
    gnntrack.track(images_of(MASKS), MASKS, progress=lambda stage, *_: stages.add(stage))
    assert {"cells", "solving"} <= stages
    for nothing in (None, False):
        gnntrack.track(masks=MASKS, progress=nothing)
    assert capsys.readouterr().err == ""
    with pytest.raises(TypeError, match="progress='yes': expected True"):
        gnntrack.track(masks=MASKS, progress="yes")


def test_a_simulated_movie_is_two_arrays():
    movie = pipeline.simulate(frames=3, cells=5, shape=(60, 70), seed=1)
    assert (movie.images.shape, movie.images.dtype) == ((3, 60, 70), np.uint16)
    assert (movie.masks.shape, movie.masks.dtype) == ((3, 60, 70), np.int32)
    np.testing.assert_array_equal(np.asarray(movie.masks)[1], movie.masks[1])
    assert movie.images[1:, 5, ::2].shape == (2, 35)
    graph = gnntrack.build_graph(movie.images, movie.masks)
    assert graph.cells.spacing == movie.masks.spacing == (0.5, 0.5)
    assert pipeline.simulate(frames=2, images=False).images is None
    with pytest.raises(OptionError, match="did you mean 'frames'"):
        pipeline.simulate(frame=2)


@pytest.mark.parametrize("value", ["no", "false", 0, 1, None, [], Path("out")])
def test_overwrite_is_true_or_false(tmp_path, value):
    movie = gnntrack.simulate(frames=2, cells=2, seed=1)
    lineage = gnntrack.track(masks=MASKS)
    out = tmp_path / "out"
    lineage.to_ctc(out)
    before = (out / "res_track.txt").read_bytes()
    for write in (
        lambda: gnntrack.track(masks=MASKS, out=out, overwrite=value),
        lambda: gnntrack.track(masks=MASKS, overwrite=value),
        lambda: gnntrack.export(lineage, out, overwrite=value),
        lambda: gnntrack.import_tracks(MASKS, out=out, overwrite=value),
        lambda: pipeline.segment(movie.images, out, overwrite=value),
        lambda: pipeline.segment(movie.images, out, resume=value),
        lambda: gnntrack.simulate(out, overwrite=value),
        lambda: lineage.to_geff(out, overwrite=value),
        lambda: lineage.to_ctc(out, overwrite=value),
        lambda: track_positions([], out, overwrite=value),
        lambda: track_positions([], out, resume=value),
    ):
        with pytest.raises(gnntrack.InputError, match=r"(overwrite|resume)=.*: expected True or False"):
            write()
    assert (out / "res_track.txt").read_bytes() == before


@pytest.mark.parametrize("out", [3, 2.5, ["a"], b"out", True])
def test_an_output_that_is_not_a_path_is_told(out):
    with pytest.raises(OutputError, match="expected a path"):
        gnntrack.track(masks=MASKS, out=out)


@pytest.mark.parametrize(
    "keywords",
    [
        {"segmenter": "unet"},
        {"segmenter": "threshold"},
        {"segmenter_options": {"diameter": 9}},
        {"segmenter": "nothing of this name"},
        {"segmenter": object()},
    ],
)
def test_a_segmenter_beside_masks_is_refused(keywords):
    for recipe in (gnntrack.track, gnntrack.build_graph):
        for sources in ((images_of(MASKS), MASKS), (None, MASKS)):
            with pytest.raises(gnntrack.InputError, match="masks are given; omit one of the two"):
                recipe(*sources, **keywords)


def test_a_segmenter_beside_masks_in_the_folder_of_the_images_is_refused(tmp_path):
    for frame, mask in enumerate(MASKS):
        tifffile.imwrite(tmp_path / f"t{frame}.tif", images_of(MASKS)[frame])
        tifffile.imwrite(tmp_path / f"t{frame}_masks.tif", mask)
    with pytest.raises(gnntrack.InputError, match="it has masks; omit the segmenter"):
        gnntrack.track(tmp_path, segmenter="threshold")
    assert len(gnntrack.track(tmp_path, segmenter="threshold", images_pattern="t{t}.tif"))


def test_a_segmenter_is_for_the_positions_without_masks(tmp_path):
    masks = np.asarray(MASKS, np.uint8)
    np.save(tmp_path / "a_masks.npy", masks)
    np.save(tmp_path / "b.npy", images_of(MASKS))
    outcomes = track_positions(find_positions(tmp_path), tmp_path / "out", segmenter="threshold")
    assert [each.status for each in outcomes] == ["done", "done"]
    (tmp_path / "b.npy").unlink()
    with pytest.raises(gnntrack.InputError, match="all positions have masks"):
        track_positions(find_positions(tmp_path), tmp_path / "out", segmenter="threshold")
