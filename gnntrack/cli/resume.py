"""The option ``--resume`` of commands that write an output: what is finished and unchanged is kept."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from gnntrack.cli.display import show_rows
from gnntrack.cli.figure_options import FIGURES, FigureChoices

__all__ = ["describe_command", "list_finished", "resume_option", "resume_training"]

Function = Callable[..., Any]
_OUTPUTS = ("out", "edge_table", *FIGURES)
_NOT_RECORDED = {"overwrite", "resume", "as_json", "workers", "scheduler", "shard", "work", "sbatch"}
_TEXT_PATHS = ("data", "validation", "start")  # paths that are given as text, as the trainings take them
_MOST_CHANGES = 3  # that a message lists


class CommandCall(NamedTuple):
    """A call of a command."""

    outputs: list[Path]
    run: dict[str, Any] | None
    """As of `gnntrack.io.manifests.describe_run`; None if an input cannot be read, or nothing is written."""


def resume_option(about: str = "", *, continues: bool = False) -> Callable[[Function], Function]:
    """Return a decorator that adds ``--resume``; it comes last, so that it has the values that the command has.

    Parameters
    ----------
    about : str
        The help of the option, if the command can do more than to keep a finished output.
    continues : bool
        The command takes ``resume`` itself, and continues an interrupted run.
    """

    def decorate(command: Function) -> Function:
        @functools.wraps(command)
        def run(*args: Any, resume: bool, **values: Any) -> Any:
            from gnntrack.cluster.execution import remove_work_folder
            from gnntrack.io.run_records import record_outputs

            described = describe_command(click.get_current_context().command.name or "", values, strict=resume)
            if resume and not described.outputs:
                raise click.UsageError("--resume keeps a finished output, and none is written; omit it")  # noqa: EM101
            if resume and values.get("require"):
                raise click.UsageError("--require needs scores, and --resume may omit them; give one of the two")  # noqa: EM101
            if resume:
                finished = list_finished(described, overwrite=values["overwrite"])
                if len(finished) == len(described.outputs):
                    for out in finished:
                        remove_work_folder(out)
                    show_rows([("kept", f"{out}: this command has made it from the same inputs") for out in finished])
                    return None
                values["overwrite"] = values["overwrite"] or bool(finished)
            with record_outputs(described.run if resume else None):
                return command(*args, **values, **({"resume": resume} if continues else {}))

        text = about or "Keep OUT if it is finished and made by the same command from the same inputs."
        decorated: Function = click.option("--resume", is_flag=True, help=text)(run)
        return decorated

    return decorate


def resume_training(command: Function) -> Function:
    """Add ``--resume`` to a training; it comes last. Without a checkpoint the training starts from its beginning."""

    @functools.wraps(command)
    def run(*args: Any, resume: bool, **values: Any) -> Any:
        from gnntrack.io.output import clean_up
        from gnntrack.io.run_records import record_outputs

        if resume and values["overwrite"]:
            msg = "--resume continues with the folder, --overwrite removes it; give one of them"
            raise click.UsageError(msg)
        call = describe_command(click.get_current_context().command.name or "", values, strict=resume)
        if resume and values["out"].expanduser().parent.is_dir():
            clean_up(values["out"].expanduser())  # a folder that was being replaced is put back
        if resume and _can_begin(values["out"].expanduser()):
            click.echo(f"{values['out']}: nothing to continue; the training starts from its beginning", err=True)
            resume, values["overwrite"] = False, values["out"].expanduser().exists()
        elif resume:
            _refuse_changed_data(values["out"], call.run or {})
        with record_outputs(call.run):
            return command(*args, resume=resume, **values)

    option = click.option("--resume", is_flag=True, help="Continue the interrupted training in --out.")
    decorated: Function = option(run)
    return decorated


def _can_begin(folder: Path) -> bool:
    """Return whether a folder of a model is missing, or of a training that was killed before its first checkpoint."""
    from gnntrack.io.result_folders import find_foreign_file
    from gnntrack.models.files import CHECKPOINT_FILE, MODEL_FILE

    if not folder.is_dir():
        return not folder.exists()
    return find_foreign_file(folder) is None and not any(
        (folder / name).exists() for name in (CHECKPOINT_FILE, MODEL_FILE)
    )


def _refuse_changed_data(out: Path, run: Mapping[str, Any]) -> None:
    """Raise if the data or the start have changed since a training was begun; its checkpoint has the other settings.

    Raises
    ------
    OutputError
        If they have.
    """
    from gnntrack.errors import OutputError
    from gnntrack.io.manifests import list_changes
    from gnntrack.io.run_records import find_records

    for before in find_records(out)[:1]:
        old, new = (_select_data(each, start="start" in {*run["inputs"], *run["settings"]}) for each in (before, run))
        changes = list_changes(old, new)
        if changes:
            listed = "; ".join(changes[:_MOST_CHANGES])
            msg = f"{out}: a training with other data: {listed}; start again with --overwrite in place of --resume"
            raise OutputError(msg)


def _select_data(run: Mapping[str, Any], *, start: bool) -> dict[str, Any]:
    """Return the inputs of a training and, if `start`, the model that it starts from, which may be omitted later."""
    inputs = {name: each for name, each in run.get("inputs", {}).items() if start or name != "start"}
    return {"inputs": inputs, "settings": {"start": run.get("settings", {}).get("start")} if start else {}}


def describe_command(name: str, values: Mapping[str, Any], *, strict: bool = False) -> CommandCall:
    """Return the outputs and the description of a call: its paths are inputs, its other values are settings.

    Parameters
    ----------
    name : str
        Name of the command.
    values : mapping
        The values that the command has.
    strict : bool
        Raise if an input cannot be read. Otherwise there is no description, and the command gives its own error.
    """
    from gnntrack.io.manifests import describe_run
    from gnntrack.io.run_records import find_records

    inputs: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    outputs = [values[key] for key in _OUTPUTS if isinstance(values.get(key), Path)]
    for key, value in values.items():
        if isinstance(value, FigureChoices):
            outputs += value.paths.values()
            settings |= {f"{figure} of": value.styles[figure] for figure in value.paths}
        elif key not in _OUTPUTS and key not in _NOT_RECORDED:
            _sort_value(key, value, inputs, settings)
    if not outputs:
        return CommandCall(outputs, None)
    known = next((record for out in outputs for record in find_records(out)), None)
    try:
        return CommandCall(outputs, describe_run(name, inputs, settings, known=known, without=outputs))
    except OSError:
        if strict:
            raise
        return CommandCall(outputs, None)


def _sort_value(key: str, value: Any, inputs: dict[str, Any], settings: dict[str, Any]) -> None:
    """Put a value of a command among its inputs or its settings."""
    from gnntrack.settings import Settings

    if isinstance(value, Path) or (isinstance(value, tuple) and value and isinstance(value[0], Path)):
        inputs[key] = value
        if key == "result" and isinstance(value, Path):
            inputs |= _find_recorded_sources(value)
    elif key in _TEXT_PATHS and value and (key != "start" or Path(value).expanduser().exists()):
        inputs[key] = value
    elif isinstance(value, Settings):
        settings |= json.loads(value.to_json())
        _add_model(value.gnn.model, inputs)
    elif value is not None:
        settings[key] = json.loads(json.dumps(value, default=str))
        _add_model(value.get("model") if isinstance(value, dict) else value if key == "model" else None, inputs)


def _add_model(model: object, inputs: dict[str, Any]) -> None:
    """Add a model that is a folder to the inputs; the shipped ones belong to the version."""
    if isinstance(model, str) and Path(model).expanduser().exists():
        inputs["model"] = model


def _find_recorded_sources(result: Path) -> dict[str, Any]:
    """Return the images and masks that a result was made from, which its page and its corrections read."""
    from gnntrack.shown_results import read_summary

    summary = read_summary(result) or {"input": {}}
    found = {f"{kind} of result": summary["input"].get(kind) for kind in ("images", "masks")}
    return {name: path for name, path in found.items() if isinstance(path, str) and Path(path).exists()}


def list_finished(described: CommandCall, *, overwrite: bool) -> list[Path]:
    """Return the outputs of a call that are finished and as it would make them; what killed runs left is removed.

    Raises
    ------
    OutputError
        If one was made otherwise or has been changed since, and may not be overwritten.
    """
    from gnntrack.errors import OutputError
    from gnntrack.io.output import clean_up

    finished = []
    for out in described.outputs:
        if not out.expanduser().exists():
            continue
        changes = _list_changes(out, described.run or {})
        if changes and not overwrite:
            listed = "; ".join(changes[:_MOST_CHANGES])
            msg = f"{out}: this command would make it differently now: {listed}; replace it with --overwrite"
            raise OutputError(msg)
        if not changes:
            clean_up(out)
            finished.append(out)
    return finished


def _list_changes(out: Path, run: Mapping[str, Any]) -> list[str]:
    """Return why an output is not what a run makes; empty if it is."""
    from gnntrack.io.manifests import list_changes
    from gnntrack.io.run_records import find_record, find_records

    record = find_record(out)
    if record is not None:
        return list_changes(record, run)
    return ["it has been changed since it was made" if find_records(out) else "how it was made is not recorded"]
