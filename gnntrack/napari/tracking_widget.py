"""The widget *Segment and track*: a movie in the viewer becomes labels and tracks."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
)

from gnntrack.errors import GnntrackError, InputError
from gnntrack.io.output import check_output
from gnntrack.loading import load
from gnntrack.methods import METHODS
from gnntrack.movie_recipes import segment
from gnntrack.napari.jobs import Job, StopRequest
from gnntrack.napari.layers import KEY, make_layers
from gnntrack.napari.sources import LayerMovie, read_layer
from gnntrack.napari.viewer_widget import ViewerWidget
from gnntrack.pipeline import track
from gnntrack.plurals import count_noun
from gnntrack.segmentation import available_segmenters

if TYPE_CHECKING:
    from gnntrack.napari.layers import LayerData
    from gnntrack.types import Lineage, Progress

__all__ = ["Plan", "TrackingWidget"]

_SEGMENT = "none: segment the images"


class Plan(NamedTuple):
    """What the widget was asked to do."""

    images: object
    masks: object
    """None: they are made by the segmenter."""
    segmenter: str
    segmenter_options: dict[str, Any]
    method: str
    options: dict[str, Any]
    """``spacing`` and ``interval``."""
    out: Path
    """Folder of the result."""
    workspace: Path
    """Folder for files that are needed as long as napari runs."""
    lasting: bool
    """Whether the user has chosen `out`."""


_workspaces: list[tempfile.TemporaryDirectory[str]] = []  # removed when Python ends: layers read their files


def _make_workspace() -> Path:
    _workspaces.append(tempfile.TemporaryDirectory(prefix="gnntrack-", ignore_cleanup_errors=True))
    return Path(_workspaces[-1].name)


def run_plan(plan: Plan, progress: Progress) -> tuple[Lineage, object]:
    """Segment and track; return the result as it was written, and the masks that were tracked.

    If the work is stopped, nothing is left at ``plan.out`` that was not there before.
    """
    options = dict(plan.options)
    masks, existed = plan.masks, plan.out.exists()
    if masks is None and plan.lasting:  # the record of the result names the segmenter
        options |= {"segmenter": plan.segmenter, "segmenter_options": plan.segmenter_options}
    elif masks is None:
        masks = plan.workspace / "masks"
        own: dict[str, Any] = {"segmenter": plan.segmenter, "options": plan.segmenter_options, "pictures": False}
        segment(plan.images, masks, progress=progress, **own, **options)
    written = False
    try:
        track(plan.images, masks, out=plan.out, method=plan.method, overwrite=True, progress=progress, **options)
        written = True
        if not existed:
            progress("writing", 1, 1)  # it may have been stopped meanwhile
        return load(plan.out), masks
    except StopRequest:
        if written:
            shutil.rmtree(plan.out, ignore_errors=True)
        raise


class TrackingWidget(ViewerWidget):
    """Chooses images or labels, a segmenter and a method, and adds the tracks to the viewer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer; napari passes it.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._build()
        self.follow(self._on_layers)
        self._on_layers()

    def _build(self) -> None:
        self.images, self.labels, self.segmenter, self.method = (QComboBox() for _ in range(4))
        found = {name: each for name, each in available_segmenters().items() if not each.missing}
        for name, each in found.items():
            self.segmenter.addItem(name)
            self.segmenter.setItemData(self.segmenter.count() - 1, each.description, Qt.ItemDataRole.ToolTipRole)
        self.segmenter.setCurrentText("threshold")
        self.method.addItems(list(METHODS))
        self.method.setCurrentText("hungarian")
        self.diameter, self.out = QLineEdit(), QLineEdit()
        self.diameter.setPlaceholderText("estimated")
        self.diameter.setToolTip("Typical diameter of a cell in pixels, or with a unit: 12um")
        self.out.setPlaceholderText("none: only in the viewer")
        browse = QPushButton("...")
        browse.setAccessibleName("Choose the folder of the result")
        browse.clicked.connect(self._ask_for_folder)
        beside = QHBoxLayout()
        beside.addWidget(self.out)
        beside.addWidget(browse)
        self.run_button, self.stop_button = QPushButton("Track"), QPushButton("Stop")
        self.run_button.clicked.connect(lambda: self.run())
        self.stop_button.clicked.connect(lambda: self.stop())
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button)
        buttons.addWidget(self.stop_button)
        self.bar, self.message = QProgressBar(), QLabel()
        self.message.setWordWrap(True)
        self.message.setTextFormat(Qt.TextFormat.PlainText)  # texts of files are never markup
        self.labels.currentIndexChanged.connect(self._allow)
        form = QFormLayout(self)
        for name, part in (
            ("Images", self.images),
            ("Labels", self.labels),
            ("Segmenter", self.segmenter),
            ("Diameter of a cell", self.diameter),
            ("Method", self.method),
            ("Folder of the result", beside),
        ):
            form.addRow(name, part)
        for part in (buttons, self.bar, self.message):
            form.addRow(part)
        self.bar.hide()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)  # leaves the height to others

    def _on_layers(self, _event: object = None) -> None:
        """List the layers that can be chosen; what is chosen stays so."""
        for box, kind, none in ((self.images, "Image", "none"), (self.labels, "Labels", _SEGMENT)):
            before = box.currentData()
            layers = [layer for layer in self.viewer.layers if type(layer).__name__ == kind]
            box.clear()
            box.addItem(none, None)
            for layer in layers:
                box.addItem(layer.name, layer)
            first = 1 if layers and kind == "Image" else 0
            box.setCurrentIndex(layers.index(before) + 1 if before in layers else first)
        self._allow()

    def _allow(self, _index: int = 0) -> None:
        busy = self.job is not None
        makes_masks = self.labels.currentData() is None
        for part in (self.segmenter, self.diameter):
            part.setEnabled(not busy and makes_masks)
        for part in (self.images, self.labels, self.method, self.out):
            part.setEnabled(not busy)
        self.run_button.setEnabled(not busy)
        self.stop_button.setEnabled(busy)

    def _ask_for_folder(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Folder of the result", "01_RES")
        if path:
            self.out.setText(path)

    def make_plan(self) -> Plan:
        """Return what was chosen.

        Raises
        ------
        InputError
            If neither images nor labels are chosen, or a layer is not a movie.
        OutputError
            If the result cannot be written to the folder.
        """
        images, labels = (box.currentData() for box in (self.images, self.labels))
        if images is None and labels is None:
            msg = "choose a layer of images, of labels, or both"
            raise InputError(msg)
        none = LayerMovie(None, {})
        movie, masks = (none if layer is None else read_layer(layer) for layer in (images, labels))
        workspace, given = _make_workspace(), self.out.text().strip()
        name = (labels if images is None else images).name
        out = Path(given).expanduser() if given else workspace / f"{name}_RES".replace("/", "_")
        check_output(out, overwrite=True)
        diameter = self.diameter.text().strip()
        return Plan(
            movie.source,
            masks.source,
            self.segmenter.currentText(),
            {"diameter": _read_diameter(diameter)} if diameter else {},
            self.method.currentText(),
            {**masks.options, **movie.options},
            out,
            workspace,
            bool(given),
        )

    def run(self) -> None:
        """Start the work in a thread."""
        if self.job is not None:
            return
        try:
            plan = self.make_plan()
        except GnntrackError as error:
            self.message.setText(f"Not possible: {error}")
            return
        self.job = job = Job(lambda progress: run_plan(plan, progress), self)
        job.progressed.connect(self._on_progress)
        job.done.connect(lambda found, warnings: self._on_done(plan, found, warnings))
        job.failed.connect(lambda error: self._end(f"Not possible: {error}"))
        job.stopped.connect(lambda: self._end("Stopped; nothing was written."))
        self.bar.setRange(0, 0)
        self.bar.show()
        self.message.setText("Reading the movie ...")
        self._allow()
        job.start()

    def stop(self) -> None:
        """Stop the work at its next step; nothing is written then."""
        if self.job is not None:
            self.message.setText("Stopping ...")
            self.job.stop()

    def _on_progress(self, stage: str, done: int, total: int) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.bar.setFormat(f"{stage} %v of %m")

    def _on_done(self, plan: Plan, found: tuple[Lineage, object], warnings: list[str]) -> None:
        lineage, masks = found
        for data, keywords, kind in _make_result_layers(plan, lineage, masks):
            getattr(self.viewer, f"add_{kind}")(data, **keywords)
        counts = [(len(lineage), "track"), (len(lineage.divisions), "division"), (len(lineage.cells), "cell")]
        text = ", ".join(count_noun(n, noun) for n, noun in counts)
        where = f"; written to {plan.out}" if plan.lasting else ""
        self._end("\n".join([text + where, *(f"Warning: {each}" for each in warnings)]))

    def _end(self, text: str) -> None:
        job, self.job = self.job, None
        if job is not None:
            job.wait()
            job.deleteLater()
        self.bar.hide()
        self.message.setText(text)
        self._allow()


def _make_result_layers(plan: Plan, lineage: Lineage, masks: object) -> list[LayerData]:
    """Return the layers of a result, with the movie that it was made from, for corrections."""
    layers = make_layers(lineage, name=plan.out.name, result=str(plan.out))
    for _, keywords, _ in layers:
        keywords["metadata"][KEY]["sources"] = {"images": plan.images, "masks": masks}
    return layers


def _read_diameter(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
