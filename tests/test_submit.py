"""Submissions: the folder that is written, its scripts really run, and scripts that break a rule."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from support.movies import dividing_masks, images_of, write_folder, write_truth

from gnntrack.cli import cli
from gnntrack.errors import InputError, OutputError
from gnntrack.settings import Settings
from gnntrack.submission.packaging import find_site, list_requirements, write_wheel
from gnntrack.submission.running import can_block_network, run_script
from gnntrack.submitting import Tracker, check_submission, write_submission

MASKS = dividing_masks()
IMAGES = images_of(MASKS)


def make_dataset(folder, *, sequences=("01", "02"), masks=True, truth=False):
    for sequence in sequences:
        write_folder(folder / sequence, IMAGES)
        if masks:
            write_folder(folder / f"{sequence}_ERR_SEG", MASKS, prefix="mask")
        if truth:
            write_truth(folder / f"{sequence}_GT")
    return folder


def write_frame(path, mask):
    tifffile.imwrite(path, mask, compression="zlib")


@pytest.fixture(scope="module")
def challenge(tmp_path_factory):
    """A folder with a data set and a submission of it to the linking benchmark."""
    root = tmp_path_factory.mktemp("challenge")
    home = make_dataset(root / "Fluo-Made+1", truth=True)
    write_frame(home / "02_ERR_SEG" / "mask005.tif", np.zeros_like(MASKS[0]))
    for folder in ("02", "02_ERR_SEG", "02_GT/TRA"):  # four digits
        for path in (home / folder).glob("*.tif"):
            path.rename(path.with_name(f"{path.stem[:-3]}0{path.stem[-3:]}.tif"))
    names = write_submission([root / "Fluo-Made+1"], root / "SW", tracker=Tracker(solver="greedy"))
    assert names == ["Fluo-Made+1-01.sh", "Fluo-Made+1-02.sh"]
    return root


@pytest.fixture(scope="module")
def checked(challenge):
    """The report of the submission; its results are kept beside it."""
    before = list_states(challenge)
    report = check_submission(challenge / "SW", results=challenge.parent / "upload")
    assert list_states(challenge) == before
    return report


def list_states(folder):
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def list_rules(sequence):
    return {problem.rule for problem in sequence.problems}


def test_a_submission_is_complete(challenge):
    sw = challenge / "SW"
    assert {path.name for path in sw.iterdir()} >= {
        "install.sh",
        "requirements.txt",
        "README.md",
        "LICENSE",
        "settings",
    }
    for script in sw.glob("*.sh"):
        assert os.access(script, os.X_OK)
        assert b"\r" not in script.read_bytes()
    one, other = ((sw / f"Fluo-Made+1-{number}.sh").read_text() for number in ("01", "02"))
    assert one.replace("01", "02") == other
    assert "../Fluo-Made+1/01 ../Fluo-Made+1/01_ERR_SEG" in one
    readme = (sw / "README.md").read_text()
    assert "CONTACT" in readme
    assert "$" not in readme.replace("\\$", "")
    settings = Settings.from_toml(sw / "settings" / "Fluo-Made+1.toml")
    assert (settings.repair.fill_empty_frames, settings.output.extras) == (True, False)


def test_the_scripts_run_as_the_organisers_run_them(checked):
    assert [each.script for each in checked.sequences] == ["Fluo-Made+1-01.sh", "Fluo-Made+1-02.sh"]
    for sequence in checked.sequences:
        assert (sequence.exit_code, sequence.problems) == (0, ())
        assert sequence.seconds > 0.1
    assert [each.scores["OP_CLB(1)"] == 1 for each in checked.sequences] == [True, False]  # a frame of 02 was empty
    assert checked.is_valid
    assert {problem.rule for problem in checked.problems} == {"contact"}


def test_results_have_the_digits_of_the_images_and_no_empty_frame(checked, challenge):
    home = challenge.parent / "upload" / "Fluo-Made+1"
    assert sorted(path.name for path in home.iterdir()) == ["01_RES", "02_RES"]
    files = sorted(path.name for path in (home / "02_RES").iterdir())
    assert files == [*(f"mask000{frame}.tif" for frame in range(6)), "res_track.txt"]
    assert (home / "01_RES" / "mask005.tif").is_file()
    assert tifffile.imread(home / "02_RES" / "mask0005.tif").any()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_the_memory_is_that_of_the_script_and_not_of_the_check(checked, tmp_path):
    assert all(20e6 < sequence.peak_memory < 2e9 for sequence in checked.sequences)
    script = tmp_path / "Made-01.sh"
    script.write_text("sleep 0.2\n")
    held = np.ones(300_000_000, np.uint8)  # the usage that the system reports of a child would include it
    run = run_script(script, log=tmp_path / "log", environment={"PATH": os.defpath})
    assert 0 < run.peak_memory < held.nbytes / 3


def test_the_tracking_benchmark_segments_the_images_alone(tmp_path):
    dataset = make_dataset(tmp_path / "Made", masks=False, truth=True)
    tracker = Tracker(segmenter="threshold", segmenter_options={"diameter": "16px"})
    write_submission([dataset], tmp_path / "SW", benchmark="tracking", tracker=tracker)
    text = (tmp_path / "SW" / "Made-01.sh").read_text()
    assert """--segmenter threshold --option 'diameter="16px"'""" in text
    (tmp_path / "SW" / "Made-02.sh").unlink()
    (sequence,) = check_submission(tmp_path / "SW").sequences
    assert sequence.problems == ()
    assert set(sequence.scores) == {"SEG", "TRA", "OP_CTB"}
    assert sequence.scores["TRA"] == 1


# ---------------------------------------------------------------- scripts that break a rule

GOOD = 'cp -r ../{name}/01_ERR_SEG ../{name}/01_RES; printf "{rows}" > ../{name}/01_RES/res_track.txt'
FAULTS = {
    "exit-code": "echo this is why >&2; exit 3",
    "no-result": "exit 0",
    "extra-file": GOOD + "; touch ../{name}/01_RES/notes.txt",
    "input-changed": GOOD + "; echo >> ../{name}/01/t000.tif; touch ../{name}/01_ERR_SEG/new",
    "outside-result": GOOD + "; touch ../{name}/more.txt here.txt",
    "left-behind": GOOD + "; touch ~/cache; touch $TMPDIR/file",
    "network": "exec {python} -S -c 'import urllib.request as u; u.urlopen(\"http://localhost.invalid/\")'",
    "not-executable": GOOD,
    "empty-frame": GOOD + "; cp {empty} ../{name}/01_RES/mask002.tif",
    "label-missing": GOOD.replace("{rows}", "1 0 5 0\\n"),
    "line-ends": "true\r",
    "no-input": GOOD,
    "pipe": GOOD + "; rm ../{name}/01_RES/mask001.tif; mkfifo ../{name}/01_RES/mask001.tif",
    "killed": "kill -9 $$",
    "controls": "printf '\\033[31mred\\000\\n'; exit 1",
    "none": GOOD,
}


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """The reports of scripts that each break a rule, by the rule; all of them in one submission."""
    root = tmp_path_factory.mktemp("spoilt")
    (root / "SW").mkdir()
    empty = write_folder(root / "empty", np.zeros((1, 96, 96), np.uint16)) / "t000.tif"
    masks = np.zeros((6, 96, 96), np.uint16)
    masks[:, 40:50, 40:50], masks[:, 60:70, 40:50] = 7, 8
    for name, body in FAULTS.items():
        script = root / "SW" / f"{name}-01.sh"
        values = {"name": name, "rows": "7 0 5 0\\n8 0 5 0\\n", "python": sys.executable, "empty": empty}
        for key, value in values.items():
            body = body.replace(f"{{{key}}}", str(value))
        script.write_text(f"#!/bin/sh\nset -eu\n{body}\n", newline="")
        script.chmod(0o644 if name == "not-executable" else 0o755)
        if name != "no-input":
            write_folder(root / name / "01", IMAGES)
            write_folder(root / name / "01_ERR_SEG", masks, prefix="mask")
    report = check_submission(root / "SW", benchmark="linking")
    assert not report.is_valid
    return {each.script.removesuffix("-01.sh"): each for each in report.sequences} | {"": report}


@pytest.mark.parametrize(
    "rule", ["exit-code", "no-result", "extra-file", "input-changed", "outside-result", "no-input"]
)
def test_a_broken_rule_is_reported(spoilt, rule):
    assert list_rules(spoilt[rule]) == {rule}
    assert not spoilt[rule].is_valid


def test_a_frame_without_a_cell_is_refused(spoilt):
    assert list_rules(spoilt["empty-frame"]) >= {"empty-frame", "label-missing"}
    assert {problem.severity for problem in spoilt["empty-frame"].problems} == {"error"}


def test_files_in_the_home_folder_are_a_warning(spoilt):
    assert list_rules(spoilt["left-behind"]) == {"left-behind"}
    assert spoilt["left-behind"].is_valid


def test_a_script_that_takes_too_long_is_ended(tmp_path):
    make_dataset(tmp_path / "Made", sequences=("01",))
    (tmp_path / "SW").mkdir()
    (tmp_path / "SW" / "Made-01.sh").write_text("sleep 600 &\nsleep 600\n")
    (sequence,) = check_submission(tmp_path / "SW", benchmark="linking", time_limit=0.3).sequences
    assert list_rules(sequence) == {"time-limit"}
    assert sequence.seconds < 60


def test_a_script_that_breaks_a_rule_does_not_stop_the_others(spoilt):
    assert spoilt["none"].problems == ()
    assert spoilt["none"].is_valid


@pytest.mark.skipif(not can_block_network(), reason="the system does not allow to block the network")
def test_a_script_that_needs_the_network_is_reported(spoilt):
    assert list_rules(spoilt["network"]) == {"network"}


def test_both_validations_refuse_a_label_that_is_missing(spoilt):
    assert list_rules(spoilt["label-missing"]) >= {"label-unknown", "py-ctcmetrics"}


def test_files_of_scripts_are_checked(spoilt):
    found = {(problem.rule, problem.file) for problem in spoilt[""].problems}
    assert {("not-executable", "not-executable-01.sh"), ("line-ends", "line-ends-01.sh")} <= found
    assert ("sequences", "none-02.sh") in found


def test_problems_name_place_and_reason(spoilt):
    messages = {rule: " ".join(map(str, spoilt[rule].problems)) for rule in FAULTS}
    assert "exit code 3: this is why" in messages["exit-code"]
    assert "extra-file/01_RES/notes.txt" in messages["extra-file"]
    assert "input-changed/01/t000.tif" in messages["input-changed"]
    assert "input-changed/01_ERR_SEG/new" in messages["input-changed"]
    assert "SW/here.txt" in messages["outside-result"]
    assert "frame 2" in messages["empty-frame"]


def test_the_end_of_a_script_is_told_in_plain_text(spoilt):
    assert "it is ended by the signal SIGKILL" in spoilt["killed"].problems[0].message
    assert spoilt["controls"].problems[0].message == "it ends with exit code 1: red"


def test_a_pipe_for_a_mask_is_not_waited_for(spoilt):
    assert [problem.file for problem in spoilt["pipe"].problems] == ["pipe/01_RES/mask001.tif"]


def test_data_behind_a_link_of_a_script_stay_as_they_are(tmp_path):
    home = make_dataset(tmp_path / "Made", sequences=("01", "02"))
    write_submission([home], tmp_path / "SW")
    for script in (tmp_path / "SW").glob("Made-*.sh"):
        script.write_text(f"#!/bin/sh\nrm -r ../Made && ln -s {home} ../Made\n")
    (tmp_path / "SW" / "requirements.txt").write_bytes(b"\xff\xfe")
    before = list_states(home)
    report = check_submission(tmp_path / "SW")
    assert list_states(home) == before
    assert [list_rules(each) for each in report.sequences] == [{"input-changed", "outside-result", "no-result"}] * 2


def test_a_data_set_has_the_name_of_its_link(tmp_path):
    make_dataset(tmp_path / "disk7", sequences=("01",))
    (tmp_path / "Fluo-N2DL-HeLa").symlink_to(tmp_path / "disk7")
    assert write_submission([tmp_path / "Fluo-N2DL-HeLa"], tmp_path / "SW") == ["Fluo-N2DL-HeLa-01.sh"]
    assert "margin = 25" in (tmp_path / "SW" / "settings" / "Fluo-N2DL-HeLa.toml").read_text()


def test_a_file_that_cannot_be_copied_is_named(tmp_path):
    home = make_dataset(tmp_path / "Made", sequences=("01",))
    write_submission([home], tmp_path / "SW")
    (home / "01" / "t009.tif").symlink_to(tmp_path / "gone.tif")
    message = fail("--check", tmp_path / "SW")
    assert f"{home}/01/t009.tif: it cannot be copied" in message
    assert "repair the file or link" in message


def test_a_full_disk_is_not_a_broken_file(tmp_path, monkeypatch):
    home = make_dataset(tmp_path / "Made", sequences=("01",))
    write_submission([home], tmp_path / "SW")

    def fill_disk(source, target, **_):
        raise OSError(28, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr("shutil.copytree.__defaults__", (False, None, fill_disk, False, False))
    assert "free space there, or choose another place" in fail("--check", tmp_path / "SW")


def test_a_script_that_writes_to_the_original_data_is_reported(tmp_path):
    make_dataset(tmp_path / "Made", sequences=("01",))
    (tmp_path / "SW").mkdir()
    script = tmp_path / "SW" / "Made-01.sh"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/Made/file\n")
    script.chmod(0o755)
    (sequence,) = check_submission(tmp_path / "SW", benchmark="linking").sequences
    assert f"{tmp_path}/Made/file" in " ".join(map(str, sequence.problems))


def test_edited_scripts_and_settings_are_named(challenge, tmp_path):
    make_dataset(tmp_path / "Made", sequences=())
    write_submission(["PhC-C2DL-PSC"], tmp_path / "SW")
    (tmp_path / "PhC-C2DL-PSC").mkdir()
    with (tmp_path / "SW" / "PhC-C2DL-PSC-02.sh").open("a") as file:
        file.write("# one more line\n")
    (tmp_path / "SW" / "LICENSE").unlink()
    report = check_submission(tmp_path / "SW")
    found = {(problem.rule, problem.file) for problem in report.problems}
    assert {("edited", "PhC-C2DL-PSC-02.sh"), ("edited", "LICENSE"), ("same-settings", "PhC-C2DL-PSC-02.sh")} <= found
    assert [list_rules(each) for each in report.sequences] == [{"no-input"}, {"no-input"}]


# ---------------------------------------------------------------- settings and models


def test_settings_of_the_data_set_and_of_the_file_are_joined(tmp_path):
    (tmp_path / "my.toml").write_text("[graph]\nmax_gap = 3\n")
    names = write_submission(["Fluo-N2DL-HeLa", "Fluo-N3DH-CE"], tmp_path / "SW", config=tmp_path / "my.toml")
    assert len(names) == 4
    one = Settings.from_toml(tmp_path / "SW" / "settings" / "Fluo-N2DL-HeLa.toml")
    other = Settings.from_toml(tmp_path / "SW" / "settings" / "Fluo-N3DH-CE.toml")
    assert (one.graph.max_gap, one.repair.margin, other.graph.max_gap, other.repair.margin) == (3, 25, 3, 50)


def test_a_folder_has_a_settings_file_for_each_data_set(tmp_path):
    (tmp_path / "PhC-C2DL-PSC.toml").write_text("[repair]\nmargin = 7\n")
    write_submission(["PhC-C2DL-PSC"], tmp_path / "SW", config=tmp_path)
    assert Settings.from_toml(tmp_path / "SW" / "settings" / "PhC-C2DL-PSC.toml").repair.margin == 7


@pytest.mark.parametrize("model", [None, "own"])
def test_the_network_is_copied(tmp_path, model):
    from gnntrack.gnn.weights import load_model

    shipped = load_model().folder
    own = tmp_path / "own"
    own.mkdir()
    for name in ("model.json", "weights.safetensors"):
        (own / name).write_bytes((shipped / name).read_bytes())
    (own / "checkpoint.safetensors").write_bytes(b"large")
    tracker = Tracker(method="gnn", model=None if model is None else own)
    write_submission(["PhC-C2DL-PSC"], tmp_path / "SW", tracker=tracker)
    settings = Settings.from_toml(tmp_path / "SW" / "settings" / "PhC-C2DL-PSC.toml")
    copied = tmp_path / "SW" / settings.gnn.model
    assert (copied / "weights.safetensors").read_bytes() == (shipped / "weights.safetensors").read_bytes()
    assert not (copied / "checkpoint.safetensors").exists()
    assert settings.gnn.brightness is (False if model is None else None)  # as if the model were not copied


def test_the_model_of_a_segmenter_is_copied(tmp_path):
    from segmenters.common.models import WEIGHTS

    source = WEIGHTS / "unet_nuclei"
    tracker = Tracker(segmenter="unet", segmenter_options={"model": str(source)})
    write_submission(["PhC-C2DL-PSC"], tmp_path / "SW", benchmark="tracking", tracker=tracker)
    place = tmp_path / "SW" / "models" / "masks" / "unet_nuclei"
    assert (place / "model.json").read_bytes() == (source / "model.json").read_bytes()
    assert 'model="models/masks/unet_nuclei"' in (tmp_path / "SW" / "PhC-C2DL-PSC-01.sh").read_text()


# ---------------------------------------------------------------- wheel and versions


def test_the_wheel_holds_the_code_and_is_sound(challenge, tmp_path):
    (wheel,) = (challenge / "SW").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        record = archive.read(next(name for name in names if name.endswith("/RECORD"))).decode().splitlines()
        for line in record[:-1]:
            name, digest, _ = line.rsplit(",", 2)
            found = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).decode().rstrip("=")
            assert digest == f"sha256={found}"
    assert len(record) == len(names)
    assert {"gnntrack/configs/default.toml", "segmenters/weights/unet_nuclei/model.json", "gnntrack/py.typed"} <= set(
        names
    )
    assert find_site(wheel, tmp_path / "site") != tmp_path / "site"  # the same code is not unpacked


def test_a_wheel_of_other_code_is_unpacked(tmp_path):
    wheel = write_wheel(tmp_path)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("gnntrack/more.py", "")
    site = find_site(wheel, tmp_path / "site")
    assert site == tmp_path / "site"
    code = (
        "import gnntrack, gnntrack.more; from gnntrack.segmentation import available_segmenters as a; print(len(a()))"
    )
    run = [sys.executable, "-P", "-c", code]
    assert int(subprocess.run(run, env={"PYTHONPATH": str(site)}, capture_output=True, check=True).stdout) >= 10
    (tmp_path / "gnntrack-0-py3-none-any.whl").write_bytes(b"not a wheel")
    with pytest.raises(InputError, match="it is not a wheel"):
        find_site(tmp_path / "gnntrack-0-py3-none-any.whl", tmp_path / "site2")


def test_versions_are_those_that_are_installed():
    pinned = dict(line.split("==") for line in list_requirements(["gnntrack"]))
    assert pinned["numpy"] == version("numpy")
    assert pinned["torch"] == version("torch").partition("+")[0]
    assert "gnntrack" not in pinned
    assert "pytest" not in pinned
    more = dict(line.split("==") for line in list_requirements(["gnntrack", "gnntrack[shape]"]))
    assert "trimesh" in more.keys() - pinned.keys()
    with pytest.raises(InputError, match="needs the package no-such-package"):
        list_requirements(["no-such-package"])


def test_packages_of_plug_ins_are_pinned(monkeypatch):
    from importlib.metadata import EntryPoint, distribution

    from gnntrack.solvers.registry import SOLVERS

    entry = EntryPoint("mine", "click:Command", "gnntrack.solvers")._for(distribution("click"))
    monkeypatch.setattr(SOLVERS, "find_entries", lambda: {"mine": [entry]})
    assert Tracker(solver="mine").list_roots("linking") == ["click"]
    assert Tracker().list_roots("linking") == []


# ---------------------------------------------------------------- wrong input


def fail(*arguments):
    run = CliRunner().invoke(cli, ["submit", *map(str, arguments)])
    assert run.exit_code == 2, run.output
    (line,) = (line for line in run.output.splitlines() if line.startswith("Error"))
    return line


def test_wrong_data_sets_are_refused(tmp_path):
    (tmp_path / "Empty").mkdir()
    plain = make_dataset(tmp_path / "Plain", masks=False)
    odd = make_dataset(tmp_path / "odd name;", masks=False)
    out = ["-o", tmp_path / "SW"]
    assert "no sequence in it; expected folders 01, 02" in fail(tmp_path / "Empty", *out)
    assert "did you mean Fluo-N2DL-HeLa?" in fail("Fluo-N2DL-HeLo", *out)
    assert "no masks in 01_ERR_SEG" in fail(plain, *out)
    assert "letters, digits and + . - _ only" in fail(odd, *out, "--benchmark", "tracking")
    assert "is given twice" in fail(plain, plain, *out, "--benchmark", "tracking")
    assert not (tmp_path / "SW").exists()


def test_wrong_choices_are_refused(tmp_path):
    out = ["PhC-C2DL-PSC", "-o", tmp_path / "SW"]
    assert "unknown method 'gnm'; did you mean 'gnn'" in fail(*out, "--method", "gnm")
    assert "no segmenter is used" in fail(*out, "--segmenter", "unet")
    assert "unknown segmenter 'unit'" in fail(*out, "--benchmark", "tracking", "--segmenter", "unit")
    assert "belongs to the method gnn" in fail(*out, "--model", "M")
    assert "does not exist" in fail(*out, "--config", tmp_path / "no.toml")
    assert "give data sets and the folder to make" in fail("PhC-C2DL-PSC")
    assert "--data belongs to --check" in fail(*out, "--data", tmp_path)
    assert "omit one of the two" in fail("--check", tmp_path, "--method", "gnn")


def test_an_existing_folder_is_kept(tmp_path):
    write_submission(["PhC-C2DL-PSC"], tmp_path / "SW")
    assert "it exists already" in fail("PhC-C2DL-PSC", "-o", tmp_path / "SW")
    write_submission(["PhC-C2DL-PSC"], tmp_path / "SW", overwrite=True)
    (tmp_path / "SW" / ".venv").mkdir()
    with pytest.raises(OutputError, match=r"\.venv/, which gnntrack did not write"):
        write_submission(["PhC-C2DL-PSC"], tmp_path / "SW", overwrite=True)


def test_wrong_folders_are_not_checked(tmp_path):
    assert "no such folder" in fail("--check", tmp_path / "SW")
    (tmp_path / "SW").mkdir()
    assert "no script in it" in fail("--check", tmp_path / "SW")
    (tmp_path / "SW" / "Made-01.sh").touch()
    assert "no submission.json with the benchmark" in fail("--check", tmp_path / "SW")
    choice = ["--check", tmp_path / "SW", "--benchmark", "linking"]
    assert "no data set of this submission in it; expected Made" in fail(*choice, "--data", tmp_path / "SW")
    assert "no such folder" in fail(*choice, "--data", tmp_path / "data")
    assert "--time-limit" in fail(*choice, "--time-limit", "fast")
    assert "it exists already" in fail(*choice, "--data", tmp_path, "--results", tmp_path)
    (tmp_path / "SW" / "submission.json").write_text("{")
    assert "cannot be read" in fail(*choice)


def test_the_command_prints_and_returns_its_verdict(tmp_path):
    make_dataset(tmp_path / "Made", sequences=("01",))
    (tmp_path / "SW").mkdir()
    script = tmp_path / "SW" / "Made-01.sh"
    script.write_text("#!/bin/sh\nexit 4\n")
    script.chmod(0o755)
    command = ["submit", "--check", str(tmp_path / "SW"), "--benchmark", "linking", "--data", str(tmp_path / "Made")]
    run = CliRunner().invoke(cli, command)
    assert run.exit_code == 1, run.output
    assert "error [exit-code] Made-01.sh: it ends with exit code 4" in run.output
    assert "not valid, 1 error, 2 warnings" in run.output
    listed = CliRunner().invoke(cli, [*command, "--json"])
    found = json.loads(listed.stdout)
    assert (found["valid"], found["sequences"][0]["exit_code"]) == (False, 4)
