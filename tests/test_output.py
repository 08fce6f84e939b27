"""Results appear as a whole or not at all, and `overwrite` removes nothing that gnntrack did not write."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest
import zarr
from click.testing import CliRunner

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import OutputError
from gnntrack.io import output_places
from gnntrack.io.output import check_output, fresh_output, hold_outputs, refuse_source, try_output
from gnntrack.io.result_folders import MANIFEST


def list_names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def write_text(place, text="new"):
    place.write_text(text)


def write_ctc(place, text="new"):
    place.mkdir()
    (place / "res_track.txt").write_text(text)
    (place / "mask000.tif").write_text(text)


def write_movie(place, text="new"):
    (place / "01").mkdir(parents=True)
    (place / "01" / "t000.tif").write_text(text)
    (place / "notes.csv").write_text(text)


def write_geff(place, text="new"):
    zarr.open_group(str(place), mode="w", zarr_format=2).attrs["geff"] = {"text": text}
    (place / "nodes").mkdir()


def write_geff3(place, text="new"):
    zarr.open_group(str(place), mode="w", zarr_format=3).attrs["geff"] = {"text": text}


def write_model(place, text="new"):
    (place / "appearance").mkdir(parents=True)
    for name in ("weights.safetensors", "model.json", "log.csv", "appearance/weights.safetensors"):
        (place / name).write_text(text)


KINDS = [write_text, write_ctc, write_movie, write_geff, write_geff3, write_model]


def read_content(path):
    if path.is_file():
        return path.read_text()
    return {name: (path / name).read_text() for name in list_names(path) if (path / name).is_file()}


def produce(path, write, *, overwrite=False, then=None):
    """Write a result and raise `then` before it is finished."""
    with fresh_output(path, overwrite=overwrite) as place:
        write(place)
        if then:
            raise then


def make(path, write=write_ctc, text="old"):
    with fresh_output(path, overwrite=False) as place:
        write(place, text)
    return path


@pytest.mark.parametrize("write", KINDS)
class TestEveryKind:
    def test_new(self, tmp_path, write):
        with fresh_output(tmp_path / "out.x", overwrite=False) as place:
            assert (place.parent, place.suffix, place.exists()) == (tmp_path, ".x", False)
            write(place)
            assert not (tmp_path / "out.x").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["out.x"]

    def test_existing_is_refused_before_the_work(self, tmp_path, write):
        out = make(tmp_path / "out", write)
        before = read_content(out)
        with (
            pytest.raises(OutputError, match=r"out: it exists already; .*--overwrite"),
            fresh_output(out, overwrite=False),
        ):
            pytest.fail("the body ran")
        assert read_content(out) == before

    @pytest.mark.parametrize("first", KINDS)
    def test_overwritten(self, tmp_path, write, first):
        out, new = make(tmp_path / "out", first), make(tmp_path / "expected", write, "new")
        if out.is_file() and new.is_dir():
            pytest.skip("a file is not replaced by a folder, see below")
        with fresh_output(out, overwrite=True) as place:
            write(place, "new")
        assert read_content(out) == read_content(new)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "out"]

    @pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt, SystemExit])
    @pytest.mark.parametrize("there", [False, True])
    def test_interrupted(self, tmp_path, write, problem, there):
        out = tmp_path / "above" / "out"
        if there:
            make(out, write)
        before = list_names(tmp_path), read_content(out) if there else None
        with pytest.raises(problem):
            produce(out, write, overwrite=there, then=problem())
        assert (list_names(tmp_path), read_content(out) if there else None) == before

    def test_interrupted_while_it_is_moved(self, tmp_path, write, monkeypatch):
        out = make(tmp_path / "out", write)
        before = read_content(out)
        real = Path.rename

        def interrupt(self, target):
            if self.name.startswith(".partial-"):
                raise KeyboardInterrupt
            return real(self, target)

        monkeypatch.setattr(Path, "rename", interrupt)
        monkeypatch.setattr(Path, "replace", interrupt)
        monkeypatch.setattr(output_places, "exchange_paths", lambda *_: False)
        with pytest.raises(KeyboardInterrupt), fresh_output(out, overwrite=True) as place:
            write(place)
        assert read_content(out) == before
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


class TestOverwrite:
    @pytest.mark.parametrize("write", [write_ctc, write_movie, write_geff, write_geff3])
    def test_a_result_with_something_else_in_it_is_kept(self, tmp_path, write):
        out = make(tmp_path / "out", write)
        (out / "thesis.txt").write_text("two years")
        with pytest.raises(
            OutputError, match=r"not overwritten, since it holds thesis\.txt, which gnntrack did not write"
        ):
            check_output(out, overwrite=True)

    @pytest.mark.parametrize("name", ["t000.tif", "mask000.tif", "01_GT/TRA/man_track000.tif", "zarr.json", "a/b/c"])
    def test_data_are_kept(self, tmp_path, name):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_text("{}")
        with pytest.raises(OutputError, match="which gnntrack did not write; choose another output"):
            check_output(tmp_path / "data", overwrite=True)

    @pytest.mark.parametrize("name", ["mask001.tif", "gnntrack", "data"])
    @pytest.mark.parametrize("to", ["file", "folder"])
    def test_a_link_in_a_result_is_kept(self, tmp_path, name, to):
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        (make(tmp_path / "out") / name).symlink_to(tmp_path / to)
        with pytest.raises(OutputError, match=rf"since it holds {name}( \(a link\))?, which gnntrack did not write"):
            check_output(tmp_path / "out", overwrite=True)

    def test_a_folder_inside_a_ctc_result_is_kept(self, tmp_path):
        (make(tmp_path / "out") / "mask001.tif").mkdir()
        with pytest.raises(OutputError, match=r"holds mask001\.tif"):
            check_output(tmp_path / "out", overwrite=True)

    @pytest.mark.parametrize("name", ["paper.tex", "appearance/cells.tif", "log.csv/log.csv"])
    def test_what_lies_in_a_models_folder_is_kept(self, tmp_path, name):
        out = tmp_path / "out"
        (out / name).parent.mkdir(parents=True)
        for written in ("weights.safetensors", "model.json", name):
            (out / written).write_text("")
        with pytest.raises(OutputError, match=f"it holds {name}, which gnntrack did not write"):
            check_output(out, overwrite=True)

    @pytest.mark.parametrize("names", [["model.json"], ["weights.safetensors"], ["log.csv"], ["model.json", "log.csv"]])
    def test_what_only_looks_like_a_part_of_a_model_is_kept(self, tmp_path, names):
        (tmp_path / "out").mkdir()
        for name in names:
            (tmp_path / "out" / name).write_text("")
        with pytest.raises(OutputError, match="which gnntrack did not write"):
            check_output(tmp_path / "out", overwrite=True)

    def test_a_training_that_was_interrupted_early(self, tmp_path):
        (tmp_path / "out").mkdir()
        for name in ("checkpoint.safetensors", "log.csv"):
            (tmp_path / "out" / name).write_text("")
        assert check_output(tmp_path / "out", overwrite=True) == tmp_path / "out"

    def test_a_broken_list_of_files_overwrites_nothing(self, tmp_path):
        (make(tmp_path / "out", write_movie) / MANIFEST).write_text("[]")
        with pytest.raises(OutputError, match=r"an unreadable \.gnntrack\.json"):
            check_output(tmp_path / "out", overwrite=True)

    def test_an_empty_folder(self, tmp_path):
        (tmp_path / "out").mkdir()
        with pytest.raises(OutputError, match="exists already"):
            check_output(tmp_path / "out", overwrite=False)
        with fresh_output(tmp_path / "out", overwrite=True) as place:
            write_ctc(place)
        assert list_names(tmp_path / "out") == ["mask000.tif", "res_track.txt"]

    def test_only_unknown_folders_get_a_list_of_files(self, tmp_path):
        assert MANIFEST not in list_names(make(tmp_path / "ctc", write_ctc))
        assert MANIFEST not in list_names(make(tmp_path / "geff", write_geff3))
        movie = make(tmp_path / "movie", write_movie)
        assert json.loads((movie / MANIFEST).read_text())["files"] == ["01/t000.tif", "notes.csv"]

    def test_the_file_behind_a_link(self, tmp_path):
        (tmp_path / "real").mkdir()
        make(tmp_path / "real" / "out.csv", write_text)
        (tmp_path / "out.csv").symlink_to(tmp_path / "real" / "out.csv")
        with fresh_output(tmp_path / "out.csv", overwrite=True) as place:
            write_text(place)
        assert (tmp_path / "out.csv").is_symlink()
        assert (tmp_path / "real" / "out.csv").read_text() == "new"


class TestRefusal:
    def test_below_a_file(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match=r"file is a file, expected a folder"):
            check_output(tmp_path / "file" / "a" / "out", overwrite=True)

    def test_the_root(self):
        with pytest.raises(OutputError, match="/: "):
            check_output("/", overwrite=True)

    @pytest.mark.parametrize("where", ["above", ".partial-"])
    def test_no_permission(self, tmp_path, monkeypatch, where):
        real = Path.mkdir

        def deny(self, *args, **options):
            if where in str(self):
                raise PermissionError(errno.EACCES, "Permission denied", str(self))
            real(self, *args, **options)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "mkdir", deny)
            with (
                pytest.raises(OutputError, match=r"cannot be (made|written) \(Permission denied\); choose"),
                fresh_output(tmp_path / "above" / "out", overwrite=False),
            ):
                pytest.fail("the body ran")
        assert list_names(tmp_path) == []

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_read_only_folder(self, tmp_path):
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(OutputError, match="cannot be written"), fresh_output(tmp_path / "out", overwrite=False):
            pytest.fail("the body ran")

    def test_nothing_written(self, tmp_path):
        with (
            pytest.raises(OutputError, match="nothing was written"),
            fresh_output(tmp_path / "a" / "b", overwrite=False),
        ):
            pass
        assert list_names(tmp_path) == []

    def test_a_full_disk(self, tmp_path):
        full = OSError(errno.ENOSPC, "No space left on device")
        with pytest.raises(OutputError, match=r"out: it cannot be written \(No space left on device\); nothing was"):
            produce(tmp_path / "out", write_ctc, then=full)
        assert list_names(tmp_path) == []

    def test_errors_of_reading_stay_what_they_are(self, tmp_path):
        with pytest.raises(FileNotFoundError), fresh_output(tmp_path / "out", overwrite=False):
            (tmp_path / "input").read_text()

    def test_something_that_appeared_meanwhile_is_kept(self, tmp_path):
        def write(place):
            write_text(place)
            (tmp_path / "out").write_text("of somebody else")

        with pytest.raises(OutputError, match="exists already"):
            produce(tmp_path / "out", write)
        assert (tmp_path / "out").read_text() == "of somebody else"
        assert list_names(tmp_path) == ["out"]


@pytest.mark.parametrize("name", ["masks.tif", "MOVIE.TIF", "images.npy", "notes.txt"])
def test_a_file_is_not_replaced_by_a_folder(tmp_path, name):
    file = tmp_path / name
    file.write_text("mine")
    with pytest.raises(OutputError, match="did not write"), fresh_output(file, overwrite=True) as place:
        write_ctc(place)
    assert list_names(tmp_path) == [name]
    assert file.read_text() == "mine"


@pytest.mark.parametrize("name", ["masks.tif", "images.npz"])
def test_files_of_images_are_refused_before_the_work(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match="choose another output"):
        check_output(tmp_path / name, overwrite=True)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def run_killed(body):
    """Run a function in a process of its own, which ends by SIGKILL."""
    child = os.fork()
    if not child:
        body()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot exchange two folders")
class TestKilled:
    @pytest.mark.parametrize("moment", ["writing", "before", "after", "between"])
    def test_one_version_is_there_and_the_next_run_cleans_up(self, tmp_path, monkeypatch, moment):
        out = make(tmp_path / "out")
        make(tmp_path / "other")
        (tmp_path / ".partial-cafe-out").mkdir()  # not a name of ours
        (tmp_path / ".partial-00c0ffee-other").mkdir()  # of another output

        def write_and_die():
            with fresh_output(out, overwrite=True) as place:
                write_ctc(place)
                if moment == "writing":
                    die()
                if moment == "between":
                    monkeypatch.setattr(output_places, "exchange_paths", lambda *_: False)
                    rename = Path.rename
                    monkeypatch.setattr(Path, "rename", lambda self, to: (rename(self, to), die()))
                else:
                    exchange = output_places.exchange_paths
                    after = moment == "after"
                    monkeypatch.setattr(
                        output_places, "exchange_paths", lambda *paths: (after and exchange(*paths), die())
                    )

        run_killed(write_and_die)
        left = [path.name for path in tmp_path.iterdir()]
        assert len(left) > 4
        if moment == "between":
            with pytest.raises(OutputError, match="exists already"), fresh_output(out, overwrite=False):
                pytest.fail("the older version was not put back")
        assert read_content(out) == read_content(
            make(tmp_path / "expected", text="new" if moment == "after" else "old")
        )
        with fresh_output(out, overwrite=True) as place:
            write_ctc(place)
        names = [".partial-00c0ffee-other", ".partial-cafe-out", "expected", "other", "out"]
        assert sorted(path.name for path in tmp_path.iterdir()) == names
        assert read_content(out)["res_track.txt"] == "new"

    def test_the_lock_of_a_killed_run_is_no_obstacle(self, tmp_path):
        def hold_and_die():
            with hold_outputs():
                try_output(tmp_path / "above" / "out", overwrite=False)
                die()

        run_killed(hold_and_die)
        assert list_names(tmp_path) == ["above", "above/.lock-out"]
        make(tmp_path / "above" / "out", write_text)
        assert list_names(tmp_path) == ["above", "above/out"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
class TestTwoRuns:
    @pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
    def test_the_second_of_two_processes_is_refused(self, tmp_path):
        with hold_outputs():
            try_output(tmp_path / "out", overwrite=True)
            child = os.fork()
            if not child:
                try:
                    try_output(tmp_path / "out", overwrite=True)
                except OutputError as error:
                    os._exit(7 if "another run of gnntrack writes it now" in str(error) else 1)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            make(tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_an_output_is_free_after_the_run_that_failed(self, tmp_path):
        def fail():
            try_output(tmp_path / "a" / "out", overwrite=True)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), hold_outputs():
            fail()
        assert not list_names(tmp_path)


class TestMessages:
    def test_a_long_name(self, tmp_path):
        name = "a" * 240 + ".csv"
        make(tmp_path / name, write_text)
        assert list_names(tmp_path) == [name]
        with pytest.raises(OutputError, match=r"it cannot be written \(File name too long\)"):
            check_output(tmp_path / ("a" * 256), overwrite=False)

    def test_an_error_while_the_output_is_removed_hides_nothing(self, tmp_path, monkeypatch):
        def refuse(self, missing_ok=False):
            raise OSError(errno.EROFS, "Read-only file system", str(self))

        monkeypatch.setattr(Path, "unlink", refuse)
        with pytest.raises(ValueError, match="of the work"):
            produce(tmp_path / "out", write_text, then=ValueError("of the work"))

    def test_a_part_of_the_output_is_named_by_the_path_that_was_given(self, tmp_path):
        full = OSError(errno.ENOSPC, "No space left on device")

        def write(place):
            place.mkdir()
            produce(place / "lineage.geff", write_geff, then=full)

        with pytest.raises(OutputError) as told:
            produce(tmp_path / "out", write)
        assert str(told.value).startswith(f"{tmp_path / 'out' / 'lineage.geff'}: it cannot be written (No space")

    def test_a_file_that_was_written_in_part(self, tmp_path):
        with pytest.raises(OutputError, match=r"out: it cannot be written \(900 requested and 100 written\)"):
            produce(tmp_path / "out", write_text, then=OSError("900 requested and 100 written"))


@pytest.mark.parametrize("name", ["nodes/notes.txt", "edges/props/paper.pdf"])
@pytest.mark.parametrize("write", [write_geff, write_geff3])
def test_a_file_inside_a_geff_is_kept(tmp_path, write, name):
    out = make(tmp_path / "out.geff", write)
    for chunk in ("nodes/ids/0", "nodes/ids/.zarray", "edges/props/score/values/c/0/1", "edges/ids/c", "nodes/a/0.1"):
        (out / chunk).parent.mkdir(parents=True, exist_ok=True)
        (out / chunk).write_text("")
    assert check_output(out, overwrite=True) == out
    (out / name).write_text("mine")
    with pytest.raises(OutputError, match=f"it holds {name}, which gnntrack did not write"):
        check_output(out, overwrite=True)


class TestSources:
    @pytest.mark.parametrize("source", ["01_RES", "01_RES/mask*.tif", "01_RES/mask000.tif", "./01_RES/../01_RES"])
    def test_a_result_that_is_its_own_source_is_refused(self, tmp_path, monkeypatch, source):
        monkeypatch.chdir(tmp_path)
        make(tmp_path / "01_RES")
        with pytest.raises(OutputError, match="it is the source or holds it"):
            refuse_source("01_RES", source)
        with pytest.raises(OutputError, match="it is the source or holds it"):
            gnntrack.track(masks=source, out="01_RES", overwrite=True)
        for words in (["--masks", source], ["images", source]):
            done = CliRunner().invoke(cli, ["track", *words, "-o", "01_RES", "--overwrite"])
            assert (done.exit_code, "it is the source" in done.stderr) == (2, True), done.output

    def test_other_sources_are_none(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for source in ("01_RES2/mask*.tif", "*/mask.tif", None, [1]):
            refuse_source("01_RES", source)


@pytest.mark.parametrize("command", ["build-graph", "solve"])
def test_a_command_finds_out_at_its_start_that_it_may_not_write(tmp_path, monkeypatch, command):
    def deny(self, *args, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", deny)
    sources = {"build-graph": ["--masks", "missing"], "solve": ["missing.geff"]}[command]
    done = CliRunner().invoke(cli, [command, *sources, "-o", str(tmp_path / "out.geff")])
    assert (done.exit_code, "(Permission denied); choose an output where you may write" in done.stderr) == (2, True)


def test_an_output_is_on_the_disk_before_it_appears(tmp_path, monkeypatch):
    flushed, real = [], Path.rename

    def flush(descriptor):
        flushed.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))

    def rename(self, target):
        assert {Path(name).name for name in flushed} >= {"a.csv", "b.csv", "below"}
        flushed.append("moved")
        return real(self, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Path, "rename", rename)
    with fresh_output(tmp_path / "out", overwrite=False) as folder:
        (folder / "below").mkdir(parents=True)
        for name in ("a.csv", "below/b.csv"):
            (folder / name).touch()
    assert flushed[-2:] == ["moved", str(tmp_path)]


@pytest.mark.parametrize("folder", [True, False])
def test_a_disk_that_is_full_only_when_it_is_flushed_leaves_nothing(tmp_path, monkeypatch, folder):
    def flush(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    def write():
        with fresh_output(tmp_path / "out", overwrite=False) as place:
            if folder:
                place.mkdir()
            (place / "a.csv" if folder else place).touch()

    monkeypatch.setattr(os, "fsync", flush)
    with pytest.raises(OutputError, match=r"out: it cannot be written \(No space left on device\)"):
        write()
    assert list(tmp_path.iterdir()) == []
