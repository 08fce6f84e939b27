"""How the results of a submission are made: method, segmenter, and the models that are copied into the submission."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.errors import InputError
from gnntrack.methods import METHODS, resolve_method
from gnntrack.plugins import Registry, get_distribution
from gnntrack.scores.registry import SCORERS
from gnntrack.segmentation.diameter import parse_diameter
from gnntrack.segmentation.registry import SEGMENTERS, expect_diameter, load_segmenter
from gnntrack.solvers.registry import SOLVERS
from gnntrack.submission.texts import Method

if TYPE_CHECKING:
    from gnntrack.settings import Settings
    from gnntrack.submission.datasets import Benchmark

__all__ = ["Tracker"]

_LINKS, _MASKS = "models/links", "models/masks"
_OF_TRAINING = shutil.ignore_patterns("checkpoint*", "*.png", "log.csv", ".partial*")


@dataclass(frozen=True)
class Tracker:
    """Choices of a submission.

    Parameters
    ----------
    method, solver : str
        As of `gnntrack.track`.
    model : path, optional
        Model of the methods ``gnn`` and ``auto``; if None, that of the settings, or the one that comes with gnntrack.
    segmenter : str, optional
        Of the tracking benchmark; default ``threshold``.
    segmenter_options : mapping
        Options of the segmenter.
    """

    method: str = "hungarian"
    solver: str | None = None
    model: str | Path | None = None
    segmenter: str | None = None
    segmenter_options: Mapping[str, Any] = field(default_factory=dict)

    def check(self, benchmark: Benchmark) -> None:
        """Raise an error if the choices cannot be used.

        Raises
        ------
        InputError, SegmenterError
            If a name or an option is unknown, or is not used in this benchmark.
        """
        resolve_method(self.method, self.solver)
        if self.model is not None and not self._has_network:
            msg = (
                f"a model (--model) belongs to the method gnn or auto, and the method is {self.method}; omit one of "
                "the two"
            )
            raise InputError(msg)
        if benchmark == "linking":
            if self.segmenter is not None or self.segmenter_options:
                msg = (
                    "the linking benchmark gives the masks, so that no segmenter is used; omit it, or choose the "
                    "tracking benchmark (--benchmark tracking)"
                )
                raise InputError(msg)
        else:
            options = dict(self.segmenter_options)
            if options.get("diameter") is not None:  # its unit is that of the movie
                parse_diameter(options.pop("diameter"))
                expect_diameter(self.segmenter_name)
            load_segmenter(self.segmenter_name, **options)

    @property
    def segmenter_name(self) -> str:
        """Name of the segmenter."""
        return self.segmenter or "threshold"

    @property
    def _has_network(self) -> bool:
        return METHODS[self.method].scorer in {METHODS[name].scorer for name in ("gnn", "auto")}

    def list_roots(self, benchmark: Benchmark) -> list[str]:
        """Return the packages of the plug-ins as requirements, with the extras that they need.

        Examples
        --------
        >>> Tracker(segmenter="deeplab").list_roots("tracking")
        ['gnntrack[segmenters]']
        """
        plan = resolve_method(self.method, self.solver)
        used: list[tuple[Registry[Any], str]] = [(SCORERS, plan.scorer), (SOLVERS, plan.solver)]
        if benchmark == "tracking":
            used.append((SEGMENTERS, self.segmenter_name))
        entries = [
            entry
            for registry, name in used
            if name not in registry.built_in
            for entry in registry.find_entries().get(name, ())
        ]
        return [f"{get_distribution(each)}[{','.join(each.extras)}]".replace("[]", "") for each in entries]

    def write_models(
        self, folder: Path, settings: Iterable[Settings], benchmark: Benchmark
    ) -> tuple[Method, dict[str, Any]]:
        """Copy the models into a submission.

        Parameters
        ----------
        folder : Path
            The submission.
        settings : iterable of Settings
            Of all data sets.
        benchmark : "linking" or "tracking"
            The segmenter and its model belong to the second.

        Returns
        -------
        method : Method
            Arguments of the scripts, and the models.
        changes : dict
            Settings that replace those of all data sets, as of `Settings.replace`.

        Raises
        ------
        ModelError
            If a model cannot be used.
        InputError
            If the settings of data sets name several models.
        """
        changes: dict[str, Any] = {
            "repair__fill_empty_frames": True,
            "output__extras": False,
            "output__pictures": False,
        }
        models = {}
        if self._has_network:
            changes |= self._copy_network(folder / _LINKS, settings)
            models[_LINKS] = f"the network of the method `{self.method}`"
        arguments = ["--method", self.method, *(() if self.solver is None else ("--solver", self.solver))]
        if benchmark == "linking":
            return Method(self.method, arguments, models=models), changes
        options = dict(self.segmenter_options)
        model = _find_model(options)
        if model is not None:
            options["model"] = f"{_MASKS}/{model.resolve().name}"
            models[options["model"]] = f"the network of the segmenter `{self.segmenter_name}`"
            _copy(model, folder / options["model"])
        arguments += ["--segmenter", self.segmenter_name]
        for name, value in options.items():
            arguments += ["--option", f"{name}={_write_value(value)}"]
        return Method(self.method, arguments, self.segmenter_name, models), changes

    def _copy_network(self, place: Path, settings: Iterable[Settings]) -> dict[str, Any]:
        """Copy the model of the method, and return the settings that name it."""
        from gnntrack.gnn.weights import load_model

        named = {each.gnn.model for each in settings} if self.model is None else {str(self.model)}
        if len(named) > 1:
            listed = ", ".join(sorted(map(str, named)))
            msg = f"data sets have several models in their settings, {listed}; give one of them as model (--model)"
            raise InputError(msg)
        name = named.pop()
        _copy(load_model(name).folder, place)
        # the model of gnntrack does not read brightness, which is the default for a model without a path only
        return {"gnn__model": _LINKS} | ({"gnn__brightness": False} if name is None else {})


def _find_model(options: Mapping[str, Any]) -> Path | None:
    """Return the folder or file of the model among the options of a segmenter, None if they name none."""
    if "model" not in options:
        return None
    place = Path(str(options["model"])).expanduser()
    if place.name in {"model.json", "weights.safetensors"}:
        place = place.parent
    return place if place.exists() else None


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place, ignore=_OF_TRAINING)
    else:
        shutil.copyfile(source, place)


def _write_value(value: object) -> str:
    """Return a value as TOML, as which ``--option`` reads it."""
    import tomlkit

    return str(tomlkit.item(str(value) if isinstance(value, Path) else value).as_string())
