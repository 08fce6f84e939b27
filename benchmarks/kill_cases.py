"""Commands of `kills.py`: each command of gnntrack that writes an output, in the forms that write differently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["BOTH", "COMMANDS", "MOVIE", "WITHOUT_OUTPUT", "Command"]

MOVIE = ("--frames", "10", "--shape", "96,96", "--cells", "6", "--cycle", "8", "--seed", "1000")
BOTH = ("../../in/movie/01", "../../in/movie/01_ERR_SEG")
WITHOUT_OUTPUT = ("info", "segmenters", "evaluate-segmentation", "validate", "completion", "serve")
"""Commands that print only. ``serve`` writes when its page asks for it."""
_WORK = "work"  # of shards
_SEGMENTER = ("unet", "--config", "../../in/segmenter.toml", "--simulated", "1")
_EDITED = ("../../in/01_RES", "../../in/edits.json")
_FIGURES = (("video", ".gif"), ("montage", ".png"), ("tree", ".png"), ("kymograph", ".png"))
_FORMATS = {  # of the command export
    "biohub": "submission.csv",
    "btrack": "btrack.csv",
    "csv": "tables",
    "ctc": "04_RES",
    "edges": "edges.csv",
    "geff": "tracks.geff",
    "laptrack": "laptrack.csv",
    "mastodon": "mastodon.csv",
    "napari": "napari.csv",
    "points": "points.csv",
    "trackmate": "trackmate.xml",
}


@dataclass(frozen=True)
class Command:
    """A command that writes an output.

    Parameters
    ----------
    words : tuple of str
        Its words, without the output; inputs are in ``../../in``.
    out : str
        Name of the output.
    kind : str
        Words of it that distinguish it from other forms of the same command.
    in_steps : bool
        The output is made step by step, and may be incomplete after a kill. Trainings and batches are continued by
        ``--resume``.
    option : str
        The option of the output; empty if the output is an argument.
    can_resume : bool
        It has an option ``--resume``.
    shards : int
        The work is divided into this number of runs, which come one after the other, and ``join`` writes the output.
    """

    words: tuple[str, ...]
    out: str
    kind: str = ""
    in_steps: bool = False
    option: str = "-o"
    can_resume: bool = True
    shards: int = 0

    @property
    def name(self) -> str:
        """The command, and the words of this form of it."""
        return f"{'join' if self.shards else self.words[0]} {self.kind}".strip()

    @property
    def folder(self) -> str:
        """Its name as that of a folder."""
        return self.name.replace(" ", "")

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of what it leaves beside its output."""
        return (_WORK,) if self.shards else ()

    def list_runs(self, more: Sequence[str]) -> Iterator[list[str]]:
        """Yield the words of each of its runs, with further options."""
        words = [*self.words, *filter(None, [self.option]), self.out, *more]
        if not self.shards:
            yield words
            return
        for shard in range(self.shards):
            yield [*words, "--work", _WORK, "--shard", f"{shard}/{self.shards}"]
        yield ["join", _WORK]


COMMANDS = (
    Command(("simulate", *MOVIE), "movie"),
    Command(("segment", "../../in/movie/01", "--segmenter", "threshold"), "masks"),
    Command(("detect", "../../in/movie/01", "--diameter", "12"), "points.csv"),
    Command(("track", *BOTH), "01_RES"),
    Command(("track", "--points", "../../in/points.csv"), "01_RES", "--points"),
    Command(("track", *BOTH), "links.csv", "--output-edge-table", option="--output-edge-table"),
    Command(("track", *BOTH, "--workers", "2"), "01_RES", "--workers"),
    Command(("track", "--points", "../../in/points.csv", "--workers", "2"), "01_RES", "--points --workers"),
    Command(("track", *BOTH, "-o", "01_RES"), "scripts", "--sbatch", option="--sbatch", can_resume=False),
    Command(("track", *BOTH), "01_RES", shards=2, can_resume=False),
    Command(("batch", "../../in/experiment"), "results", in_steps=True),
    Command(("batch", "../../in/experiment", "--jobs", "2"), "results", "--jobs", in_steps=True),
    Command(("build-graph", *BOTH), "graph.geff"),
    Command(("solve", "../../in/graph.geff"), "lineage.geff"),
    Command(("solve", "../../in/graph.geff", "--method", "gnn"), "lineage.geff", "--method gnn"),
    *(Command(("export", "../../in/01_RES", "--to", each), out, f"--to {each}") for each, out in _FORMATS.items()),
    Command(("import", "../../in/01_RES"), "02_RES"),
    Command(("convert", "../../in/01_RES"), "tracks.xml", option=""),
    Command(("analyse", "../../in/01_RES"), "analysis"),
    Command(("shape", "../../in/movie/01_ERR_SEG"), "shapes"),
    Command(("report", "../../in/01_RES", "--images", BOTH[0]), "report.html"),
    *(
        Command(("report", "../../in/01_RES", "--images", BOTH[0]), f"figure{end}", f"--{name}", option=f"--{name}")
        for name, end in _FIGURES
    ),
    Command(("apply-edits", *_EDITED, "--images", BOTH[0], "--masks", BOTH[1]), "03_RES"),
    Command(("evaluate", "../../in/01_RES", "../../in/movie/01_GT"), "errors", option="--errors"),
    Command(("submit", "PhC-C2DL-PSC"), "SW"),
    Command(("init-config",), "settings.toml"),
    Command(("man",), "man1", in_steps=True, can_resume=False),
    Command(("demo",), "demo", can_resume=False),
    Command(("train", "../../in/movie", "--config", "../../in/train.toml"), "model", in_steps=True),
    Command(("train-segmenter", *_SEGMENTER), "unet", in_steps=True),
    Command(("train-detector", "--simulated", "2", "--steps", "4", "--batch", "2"), "detector", in_steps=True),
)
"""All commands with an output, in the order of the tables."""
