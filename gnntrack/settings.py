"""Every default of gnntrack, one section per stage. The CLI, the TOML files and the docs read them here.

A settings file is TOML with a table per stage. A key that is not in the file has its default, and an unknown key is an
error whose message proposes the nearest one:

>>> Settings.from_dict({"graph": {"max_gaps": 3}})
Traceback (most recent call last):
gnntrack.errors.SettingsError: unknown setting 'graph.max_gaps'; did you mean 'graph.max_gap'?
"""
# without `from __future__ import annotations`: the annotations are the kinds of the settings

import warnings
from itertools import product
from pathlib import Path
from typing import Any, Literal, Self

from gnntrack.durations import parse_duration
from gnntrack.errors import SettingsError
from gnntrack.removed_settings import REMOVED, drop_removed, filter_removed
from gnntrack.setting_errors import refuse_changed_masks, refuse_unknown
from gnntrack.setting_kinds import is_one_number, is_pixel_size, read_sizes
from gnntrack.setting_sections import Section, copy_default, limit
from gnntrack.simulation_settings import EmbryoSettings, SimulateSettings, read_movie_kinds

__all__ = [
    "DEFAULTS_OF_A_START",
    "REMOVED",
    "CellSettings",
    "EmbryoSettings",
    "FrameSettings",
    "GnnSettings",
    "GraphSettings",
    "MotionSettings",
    "OutputSettings",
    "PointSettings",
    "RepairSettings",
    "ScoreSettings",
    "Settings",
    "SimulateSettings",
    "SolverSettings",
    "TrainSegmenterSettings",
    "TrainSettings",
    "drop_removed",
    "is_pixel_size",
]

# other defaults of train_segmenter, if training starts from a trained network
DEFAULTS_OF_A_START: dict[str, Any] = {"steps": 600, "learning_rate": 0.005, "patch": 192, "validate_every": 50}
# settings whose default is more than its value: it stands for a rule
_RULES = {
    ("graph", "max_gap"),
    ("solver", "link_threshold"),
    *product(["train_segmenter"], [*DEFAULTS_OF_A_START, "held_out"]),
}

_IDENTITY_THRESHOLD = 0.2  # of links, for whole tracks: chosen on the movies of benchmarks/goals.py --development


def _lower_axes(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _write_number(value: Any) -> Any:
    """Return a number as text."""
    return str(value) if is_one_number(value) else value


def _read_interval(value: Any) -> float | None:
    return None if value is None else parse_duration(value)


class FrameSettings(Section):
    """Movies and masks as they are read (``io/frames.py``)."""

    spacing: tuple[float, ...] | None = limit(None, lengths=(1, 2, 3), read=read_sizes)
    """Size of a voxel in um along z, y, x; default: as in the files, or 1 pixel if they do not have it."""
    axes: str | None = limit(None, letters="tzyxc", read=_lower_axes)
    """A letter per axis (t, z, y, x, c), if the files name their axes wrongly, such as frames saved as slices."""
    allow_missing: bool = False
    """Read a frame that is missing in the numbering of a folder as an empty one; else it is an error."""
    channel: int | str | None = None
    """The channel to track of images with several: its number, from 0, or its name; all channels are measured."""
    masks_channel: int | str | None = None
    """The channel that holds the masks, from 0, or its name, if masks are a channel of a file."""
    interval: float | None = limit(None, read=_read_interval)
    """Time between two frames: seconds, or text such as 30s, 5min or 0.5h; default: as in the files, if known."""
    background: int | None = limit(None, gt=-(2**31), lt=2**63)
    """Value of the background of masks; default: 0, or a value that covers most of the border (with a warning)."""
    trust_masks: bool = False
    """Use masks and images as they are, also if they look swapped, like grey values, or like a binary mask."""
    images_pattern: str | None = None
    """Which files of a folder are images: a glob (*_raw.tif), or brackets (t{t}_z{z}.tif, pos{p}_t{t}_c{c}.tif)."""
    masks_pattern: str | None = None
    """Which files of a folder are masks, such as *_cp_masks.png; as for images."""
    position: str | None = limit(None, read=_write_number)
    """The position to read, where a pattern has {p}."""

    def with_given(self, **arguments: Any) -> "FrameSettings":
        """Return a copy in which arguments of a function replace settings; an argument that is None does not.

        Raises
        ------
        SettingsError
            If a value is out of range.

        Examples
        --------
        >>> frames = FrameSettings(spacing=(0.5, 0.5)).with_given(spacing=None, interval="5min")
        >>> frames.spacing, frames.interval
        ((0.5, 0.5), 300.0)
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        return Settings(frames=self).replace(**{f"frames__{k}": v for k, v in given.items()}).frames if given else self

    def select_for_images(self) -> dict[str, Any]:
        """Return the keywords of ``open_frames`` for images."""
        other = {"masks_channel", "images_pattern", "masks_pattern", "background", "trust_masks"}
        return self.to_dict(exclude=other) | {"pattern": self.images_pattern}

    def select_for_masks(self) -> dict[str, Any]:
        """Return the keywords of ``open_frames`` for masks, with their channel and pattern."""
        masks = {"channel": self.masks_channel, "pattern": self.masks_pattern, "role": "masks"}
        return self.select_for_images() | masks


class CellSettings(Section):
    """From masks to cells (``measure/cells.py``)."""

    fragments: Literal["keep", "largest", "split"] = "keep"
    """A label in several pieces is one cell (keep), its largest piece only (largest), or a cell per piece (split)."""
    min_size: int = limit(0, ge=0)
    """Smallest size of a cell in pixels, after `fragments`; smaller ones are dropped and listed."""
    neighbours: int = limit(6, ge=1)
    """Number of nearest cells from which the local density is computed."""
    max_merge: int = limit(6, ge=0)
    """Frames for which one mask may hold several cells: it is cut into these; 0 = no mask is cut."""


class MotionSettings(Section):
    """How cells move between two frames (``graph/motion.py``)."""

    drift: bool = True
    """Estimate the global shift of each frame."""
    flow: Literal["auto", "cells", "images", "none"] = "auto"
    """Local motion: from neighbouring cells, from optical flow of the images, both where possible, or none."""
    neighbours: int = limit(8, ge=1)
    """Number of neighbouring cells whose median motion is a cell's local motion."""


class GraphSettings(Section):
    """Candidate links (``graph/candidates.py``)."""

    max_gap: int = limit(2, ge=1)
    """Frames that a link may span: 1 = to the next only; unset: 3 if many masks are missing, and 6 for points."""
    max_neighbours: int = limit(6, ge=1)
    """Cells of the next frame that are considered for each cell; half as many across gaps."""
    max_distance: float | None = limit(None, gt=0)
    """Farthest that a cell moves per frame, in um, or pixels if their size is unknown; default: estimated."""


class ScoreSettings(Section):
    """Classical scores of links and divisions (``scores/``)."""

    rounds: int = limit(2, ge=0)
    """Times that rates and scales are estimated again from the best solution so far; 0 keeps the prior rates."""


class GnnSettings(Section):
    """Scores by a network (``gnn/``)."""

    model: str | None = None
    """Folder of the model; default: the model that comes with gnntrack."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Device of the network; auto = cpu if it is computed without torch there, else the first of cuda, mps and cpu."""
    correction: float | None = limit(None, ge=0, le=1)
    """Fraction of the network's correction that is added: 0 = classical scores, 1 = all; default: by the movie."""
    brightness: bool | None = None
    """Whether the network reads the brightness of single cells; default: not if it comes with gnntrack, else yes."""
    window: int = limit(60_000, ge=1)
    """Links scored at once; fewer links need less memory and more time."""


class TrainSettings(Section):
    """Training of a network (``gnntrack train``); all that determine the weights are stored with the model."""

    width: int = limit(32, ge=4)
    """Size of the vector of a cell or link inside the network, a multiple of `heads`."""
    rounds: int = limit(3, ge=0)
    """Rounds of attention: how many links forward and back a link is influenced by."""
    heads: int = limit(4, ge=1)
    """Number of attention heads."""
    dropout: float = limit(0.1, ge=0, lt=1)
    """Fraction of the values inside the network set to 0 in a step; raise it if a small data set is overfitted."""
    feature_dropout: float = limit(0.3, ge=0, lt=1)
    """Fraction of the input columns set to 0 in a window; raise it if the movies differ from the training data."""
    steps: int = limit(500, ge=1)
    """Steps of the optimiser."""
    links: int = limit(6000, ge=1)
    """Candidate links in a step."""
    window: int = limit(10, ge=3)
    """Frames of a window."""
    division_share: float = limit(0.3, ge=0, le=1)
    """Fraction of the windows drawn around a division, or an edit; raise it if these are rare."""
    division_weight: float = limit(4.0, gt=0)
    """Weight in the loss of a cell that divides or is a daughter; raise it if divisions are missed."""
    edited_weight: float = limit(5.0, gt=0)
    """Weight in the loss of a cell that an edit names, in a corrected result."""
    unconfirmed_weight: float = limit(0.2, ge=0)
    """Weight of the other cells of a corrected result; 0 = they do not count."""
    learning_rate: float = limit(0.003, gt=0)
    """Highest learning rate (AdamW); it rises over the first tenth of the steps and falls as a cosine."""
    weight_decay: float = limit(0.01, ge=0)
    """Weight decay of AdamW."""
    average: float = limit(0.99, ge=0, lt=1)
    """Decay per step of the running average of the weights; the average is the result."""
    validate_every: int = limit(100, ge=1)
    """Steps between validations, checkpoints and rows of the log."""
    patience: int = limit(3, ge=1)
    """Validations without a better score after which training stops."""
    variants: int = limit(5, ge=1)
    """Versions of each movie to train on: as it is, every 2nd and every 4th frame, the others corrupted at random."""
    corruption: float = limit(1.0, ge=0)
    """Factor of the rates of simulated segmentation errors; with 0, movies are only rotated and mirrored."""
    simulated: int = limit(0, ge=0)
    """Number of simulated movies to train on as well."""
    simulated_kinds: tuple[str, ...] = limit(("cells",), read=read_movie_kinds)
    """Kinds of these movies, in turn; all = every kind of ``gnntrack simulate`` that has masks."""
    without: tuple[Literal["movie", "histories", "rivals"], ...] = ()
    """Groups of columns that the network does not read: of the movie, of frames around divisions, of rival links."""
    penalty: float = limit(0.02, ge=0)
    """Weight in the loss of the squared difference from the classical scores; it helps on other kinds of movies."""
    appearance: bool = False
    """Train an embedding of the cells' images first (metric learning), as another input of the network."""
    unclear: float = limit(1.0, gt=0, le=1)
    """The network corrects movies with at most this fraction of cells without a clear link; the shipped one has 0.1."""
    held_out: float = limit(0.15, ge=0, lt=0.9)
    """Fraction of each movie's frames, the last ones, that is kept for validation if no validation movies are given."""
    truth: Literal["auto", "dense", "sparse"] = "auto"
    """Whether all cells are annotated (dense) or only some (sparse); auto = sparse if fewer than two thirds are."""


class TrainSegmenterSettings(Section):
    """Training of a segmenter (``gnntrack train-segmenter``)."""

    steps: int = limit(2000, ge=1)
    """Steps of the optimiser; 600 if the training starts from a model (``--from``)."""
    epochs: int | None = limit(None, ge=1)
    """Passes over all images, instead of `steps`; a patch of each image is a pass."""
    batch: int = limit(8, ge=1)
    """Patches in a step."""
    patch: int = limit(256, ge=16)
    """Side of a patch along y and x, in pixels; 192 if the training starts from a model."""
    planes: int = limit(16, ge=1)
    """Planes of a patch, for networks in 3D."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or gradient descent with momentum."""
    learning_rate: float = limit(0.002, gt=0)
    """Highest learning rate; 0.005 if the training starts from a model."""
    momentum: float = limit(0.95, ge=0, lt=1)
    """Momentum of sgd."""
    weight_decay: float = limit(0.01, ge=0)
    """Weight decay."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """The learning rate rises over the first tenth of the steps and falls as a cosine, or stays the same."""
    average: float = limit(0.99, ge=0, lt=1)
    """Decay per step of the running average of the weights; the average is the result. 0 = no average."""
    loss: Literal["both", "cross_entropy", "dice", "focal"] = "both"
    """Loss of the foreground; both = cross-entropy and Dice."""
    border_weight: float = limit(5.0, ge=0)
    """Additional weight of pixels between two cells, as in the U-Net's paper (unet, fcn, deeplab)."""
    head: Literal["instances", "foreground"] = "instances"
    """Outputs: foreground and depth inside the cell, which separates touching cells, or the foreground alone."""
    normalise: Literal["percentile", "root", "standard", "none"] = "percentile"
    """Normalisation of grey values: percentile, root (of it, for dim nuclei), standard (mean 0, deviation 1), none."""
    colours: Literal["auto", "grey", "rgb"] = "auto"
    """Input of the network: rgb = all colours, grey = the one of best contrast, auto = rgb if all images are RGB."""
    kind: Literal["auto", "fluorescence", "stained", "phase", "brightfield"] = "auto"
    """Kind of microscopy, which chooses the model of ``--from shipped``; auto is a guess."""
    zoom: Literal["auto", "each", "none"] = "auto"
    """Scale of the images: as they are (none), all cells to one size (each), or chosen by the size of the cells."""
    scaled_diameter: float = limit(20.0, ge=8, le=64)
    """Diameter in pixels to which cells are scaled if all are scaled to one size; larger = finer outlines, slower."""
    flat: int = limit(1, ge=0)
    """In 3D: number of levels that do not reduce the planes, for voxels that are long along z."""
    augment: bool = True
    """Rotate, mirror, scale, blur and brighten patches at random."""
    invert: bool = False
    """Invert half of the patches, for a network that finds bright and dark cells."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of multiplications; auto = bfloat16 if the processor supports it in hardware."""
    validate_every: int = limit(100, ge=1)
    """Steps between validations, checkpoints and rows of the log; 50 if the training starts from a model."""
    patience: int = limit(8, ge=1)
    """Validations without a better score after which training stops."""
    held_out: float = limit(0.15, ge=0, lt=0.9)
    """Fraction of the images, of movies the last ones, kept for validation; 0 of fewer than 12 with ``--from``."""
    simulated: int = limit(0, ge=0)
    """Number of simulated movies to train on as well."""
    simulated_axes: Literal[2, 3] = 2
    """Axes of the simulated images: 3 to train a network in 3D."""
    truth: Literal["best", "gold", "silver"] = "best"
    """Ground truth of the challenge's movies: gold for frames that have it and else silver, or only one of them."""
    margin: int = limit(0, ge=0)
    """Width in pixels of the border that is not trained on, since the ground truth may lack cells there."""
    sparse: bool = False
    """Only some cells of each image are labelled: others are unknown, except a ring around each of these."""
    background_label: int = limit(0, ge=0)
    """With `sparse`: the label of the pixels that are drawn as background, such as 1; 0 = none are."""
    options: dict[str, bool | int | float | str] = limit({})
    """Options of the network, as a table."""


class SolverSettings(Section):
    """From scores to links (``solvers/``)."""

    goal: Literal["ctc", "identity"] = "ctc"
    """What to link for: the challenge's metrics (ctc), or whole tracks (identity: links from 0.2, solver exact)."""
    divisions: bool = True
    """Allow divisions: a cell has up to two successors."""
    link_threshold: float = limit(0.4, gt=0, lt=1)
    """Probability above which a link pays; higher = fewer wrong links, more broken tracks; 0.4 is the CTC optimum."""
    division_threshold: float = limit(0.444, gt=0, lt=1)
    """Probability above which a division pays; higher = fewer wrong divisions; 0.444 is the CTC optimum."""
    time_limit: float | None = limit(None, read=_read_interval)
    """Time to choose links, such as 30s or 2m; at its end the best valid lineage so far is kept. Default: no limit."""

    def choose_link_threshold(self) -> float:
        """Return the probability above which a link pays: the one that was given, or that of the goal.

        >>> [SolverSettings(goal="identity", **each).choose_link_threshold() for each in ({}, {"link_threshold": 0.6})]
        [0.2, 0.6]
        """
        by_goal = self.goal == "identity" and "link_threshold" not in self.given
        return _IDENTITY_THRESHOLD if by_goal else self.link_threshold


class RepairSettings(Section):
    """Masks of bridged gaps, fragments and margins (``lineage/repair.py``)."""

    fill_gaps: bool = True
    """Draw the missing mask of a bridged gap, or cut it out of a merged one; else a gap splits the track."""
    use_images: bool = True
    """Look for the missing mask in the image, if there is one; where it does not show the cell, other frames vote."""
    keep_masks: bool = False
    """Keep every mask: none is drawn, cut, joined or dropped; only --margin and --min-track-length remove some."""
    join_pieces: bool = True
    """Join a fragment that was split off a cell for up to three frames to the cell; else it is a track of its own."""
    margin: int = limit(0, ge=0)
    """Width in pixels of the border of a frame; cells that lie entirely in this border are removed at the end."""
    debris_size: float = limit(0.3, ge=0, le=1)
    """Drop debris: a track, with its descendants, whose masks are in the mean below this times the median; 0 = none."""
    drop_spurious: float | None = limit(None, ge=0.5, le=1)
    """Drop cells that are spurious with a higher probability than this; 1 = none. Default: 0.97 with gnn, else none."""
    min_track_length: int = limit(1, ge=1)
    """Fewest frames of a track of masks with its descendants; shorter ones inside of the movie (debris) are removed."""
    fill_empty_frames: bool = False
    """Draw the cells of the nearest frame in frames without a cell, which the challenge's evaluation refuses."""

    def _check_together(self) -> None:
        if self.keep_masks and self.fill_empty_frames:
            kept = "repair.keep_masks keeps all masks as they are"
            msg = f"{kept}, and repair.fill_empty_frames draws masks; omit one of the two"
            raise SettingsError(msg)


class PointSettings(Section):
    """Tracks of points without masks (``lineage/point_tracks.py``)."""

    interpolate: bool = True
    """Add a point, marked as interpolated, in each missing frame of a bridged gap."""
    smooth: int = limit(0, ge=0)
    """Frames of a track through which a line is fitted to smooth its positions; 0 = positions stay as they are."""
    min_length: int = limit(1, ge=1)
    """Fewest frames that a track of points lasts with its descendants; shorter ones (false detections) are dropped."""


class OutputSettings(Section):
    """Files of a result (``result_files.py``)."""

    pictures: bool = True
    """Draw overlay.png (a frame with its cells) and, of tracks, lineage.png (the tree) in the result's gnntrack/."""
    extras: bool = True
    """Write the folder gnntrack/ in the result; without it, masks and res_track.txt only, as in a submission."""


class Settings(Section):
    """The settings of all stages."""

    frames: FrameSettings = FrameSettings()
    cells: CellSettings = CellSettings()
    motion: MotionSettings = MotionSettings()
    graph: GraphSettings = GraphSettings()
    scores: ScoreSettings = ScoreSettings()
    gnn: GnnSettings = GnnSettings()
    train: TrainSettings = TrainSettings()
    train_segmenter: TrainSegmenterSettings = TrainSegmenterSettings()
    solver: SolverSettings = SolverSettings()
    repair: RepairSettings = RepairSettings()
    points: PointSettings = PointSettings()
    output: OutputSettings = OutputSettings()
    simulate: SimulateSettings = SimulateSettings()
    embryo: EmbryoSettings = EmbryoSettings()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build settings from nested tables.

        Raises
        ------
        SettingsError
            For an unknown key, with the nearest known one, or a value out of range.
        """
        if isinstance(values, dict):
            values = filter_removed(values, warn=True)
        refuse_unknown(cls, values, "")  # also if it is not a table
        try:
            return cls(**values)
        except SettingsError as error:
            msg = f"settings: {error}"
            raise SettingsError(msg) from None

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read settings from a TOML file.

        Raises
        ------
        SettingsError
            If the file cannot be read, is not TOML, or holds an unknown key or a value out of range.
        """
        import tomllib

        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))  # editors may add a mark
        except FileNotFoundError as error:
            msg = f"{path}: this settings file does not exist; check the path, or write one with 'gnntrack init-config'"
            raise SettingsError(msg) from error
        except (OSError, ValueError, RecursionError) as error:  # of long numbers, and of deep nesting
            msg = f"{path}: cannot be read as a TOML file: {error}"
            raise SettingsError(msg) from error
        try:
            return cls.from_dict(values)
        except SettingsError as error:
            msg = f"{path}: {error}"
            raise SettingsError(msg) from None

    def replace(self, **changes: Any) -> Self:
        """Return a copy with single values changed; ``graph__max_gap=3`` sets ``graph.max_gap``.

        >>> changed = Settings().replace(graph__max_gap=3)
        >>> changed.graph.max_gap, changed.graph.given
        (3, frozenset({'max_gap'}))
        """
        tables, given = dict[str, dict[str, Any]](), {name: section.given for name, section in self}
        for key, value in changes.items():
            section, _, name = key.partition("__")
            if section not in given or not name:
                msg = f"unknown setting '{key}'; expected SECTION__NAME, such as graph__max_gap"
                raise SettingsError(msg)
            tables.setdefault(section, getattr(self, section).to_dict())[name] = value
            given[section] |= {name}
        changed = type(self).from_dict(tables)
        others = {name: copy_default(section) for name, section in self if name not in tables}
        changed._set(others, self.given | {name for name, names in given.items() if names})
        for name, section in changed:
            section._set({}, given[name])
        refuse_changed_masks(changed, changes)
        return changed

    def replaced(self, **changes: Any) -> Self:
        """Return `replace`; this name is deprecated."""
        warnings.warn("Settings.replaced is deprecated; use Settings.replace", DeprecationWarning, stacklevel=2)
        return self.replace(**changes)

    def to_toml(self) -> str:
        """Return the settings as TOML, each with its meaning as a comment.

        A value of None is a comment, too, and so is a default that stands for a rule as long as it is not given.

        >>> [line for line in Settings().to_toml().splitlines() if "max_gap" in line]
        ['# max_gap = 2']
        """
        import tomlkit

        def write(value: Any) -> str:
            if isinstance(value, dict):
                table = tomlkit.inline_table()
                table.update(value)
                return str(table.as_string())
            return str(tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string())

        lines = []
        for name, section in self:
            lines += [f"[{name}]  # {(type(section).__doc__ or '').strip()}"]
            for key, value in section:
                unset = (name, key) in _RULES and key not in section.given
                line = f"# {key} =" if value is None else f"{key} = {write(value)}"
                lines += [f"# {section.describe(key)}".rstrip(), f"# {line}" if unset else line]
            lines.append("")
        return "\n".join(lines)
