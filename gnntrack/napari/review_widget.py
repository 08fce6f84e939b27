"""The widget *Review and correct*: steps through the places to check, and edits the lineage with undo."""

from __future__ import annotations

import html
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QListWidget,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gnntrack.errors import GnntrackError, InputError
from gnntrack.lineage.doubts import Doubt, list_doubts
from gnntrack.napari.display import find_cell, find_group, list_groups, look_at, mark_cell, update_group
from gnntrack.napari.jobs import Job
from gnntrack.napari.layers import KEY
from gnntrack.napari.revision import Revision, Solution, find_past, propose_edit
from gnntrack.napari.viewer_widget import ViewerWidget
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gnntrack.types import Lineage, Progress

__all__ = ["ReviewWidget"]

_COLUMNS = ("#", "kind", "frame", "track", "doubt", "gain", "why")
_EDITS = {
    "confirm": ("Confirm link", "C", "The link from the frame before to the selected cell is right."),
    "cut": ("Cut link", "X", "The link from the frame before to the selected cell is wrong."),
    "join": ("Join to ...", "J", "Then click the same cell in another frame."),
    "divide": ("Divides into ...", "D", "Then click both daughters in a later frame."),
    "undivide": ("No division", "U", "The track of the selected cell does not divide at its end."),
    "spurious": ("Not a cell", "S", "The mask of the selected cell is removed."),
}
_WANTED = {"join": 2, "divide": 3}  # cells that an edit needs; the others need one
_SHOWN = 5  # changed links


class ReviewWidget(ViewerWidget):
    """Places to check of a result in the viewer, and edits of its lineage.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer; napari passes it.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.lineage: Lineage | None = None
        self.doubts: list[Doubt] = []
        self.selected = -1
        self._kind = ""  # edit that waits for more cells
        self._rows: list[int] = []
        self._build()
        self.follow(self._on_layers, self._on_click)
        self._on_layers()

    # ------------------------------------------------------------------ the widget

    def _build(self) -> None:
        self.choice = QComboBox()
        self.choice.setAccessibleName("Tracks")
        self.choice.currentIndexChanged.connect(self._on_choice)
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setHorizontalHeaderLabels(list(_COLUMNS))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.verticalHeader().hide()
        self.table.setMinimumHeight(180)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.currentCellChanged.connect(self._on_row)
        self.about, self.message = QLabel(), QLabel()
        for label in (self.about, self.message):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)  # texts of files are never markup
        self.list = QListWidget()
        self.list.setAccessibleName("Edits")
        self.list.setMaximumHeight(120)
        layout = QVBoxLayout(self)
        steps = self._make_row(
            ("previous", "Previous", "P", "The place before in the list.", lambda: self.step(-1)),
            ("next", "Next", "N", "The next place in the list.", lambda: self.step(1)),
        )
        for part in (self.choice, QLabel("Places to check, the most errors first:"), self.table, steps, self.about):
            self._add(layout, part)
        layout.addLayout(self._make_edit_buttons())
        changes = self._make_row(
            ("undo", "Undo", "Z", "Removes the last edit.", lambda: self._change("undo")),
            ("redo", "Redo", "Shift+Z", "Makes the edit again that was undone last.", lambda: self._change("redo")),
            ("stop", "Stop", "", "Stops solving; the edit is not made.", self.stop),
        )
        saves = self._make_row(
            ("save_edits", "Save edits ...", "", "A file for 'gnntrack apply-edits'.", self._ask_for_edits),
            ("save_result", "Save result ...", "", "A folder as 'gnntrack track' writes it.", self._ask_for_result),
        )
        for part in (self.message, QLabel("Edits:"), self.list, changes, saves):
            self._add(layout, part)

    @staticmethod
    def _add(layout: QVBoxLayout, part: Any) -> None:
        if isinstance(part, QWidget):
            layout.addWidget(part)
        else:
            layout.addLayout(part)

    def _make_row(self, *buttons: tuple[str, str, str, str, Callable[[], Any]]) -> QHBoxLayout:
        row = QHBoxLayout()
        for name, text, key, tip, action in buttons:
            row.addWidget(self._make_button(name, text, key, tip, action))
        return row

    def _make_edit_buttons(self) -> QGridLayout:
        grid = QGridLayout()
        for k, (kind, (text, key, tip)) in enumerate(_EDITS.items()):
            button = self._make_button(kind, text, key, tip, partial(self.begin, kind))
            grid.addWidget(button, k // 2, k % 2)
        return grid

    def _make_button(self, name: str, text: str, key: str, tip: str, action: Callable[[], Any]) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.setToolTip(f"{tip} Key: {key}" if key else tip)
        button.clicked.connect(lambda: action())
        if key:
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(button.click)
        return button

    def find_button(self, name: str) -> QPushButton:
        """Return a button by its name: a kind of edit, or previous, next, undo, redo, stop, save_edits, save_result."""
        return self.findChild(QPushButton, name)

    # ------------------------------------------------------------------ what is shown

    def _on_layers(self, _event: object = None) -> None:
        """List the tracks in the viewer; those that are shown stay chosen."""
        layers = list_groups(self.viewer)
        before = self._get_layer()
        with QSignalBlocker(self.choice):
            self.choice.clear()
            for layer in layers:
                self.choice.addItem(layer.name, layer)
            self.choice.setCurrentIndex(layers.index(before) if before in layers else 0 if layers else -1)
        self._on_choice()

    def _get_layer(self) -> Any:
        return self.choice.currentData()

    def _on_choice(self, _index: int = 0) -> None:
        layer = self._get_layer()
        lineage = None if layer is None else layer.metadata[KEY]["lineage"]
        if lineage is not self.lineage or lineage is None:
            self._show(lineage)

    def _show(self, lineage: Lineage | None) -> None:
        """Show the places to check of a lineage."""
        self.lineage, self.selected = lineage, -1
        self._kind, self._rows = "", []
        self.doubts = [] if lineage is None else list_doubts(lineage)
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(self.doubts))
            for k, doubt in enumerate(self.doubts):
                track = "" if doubt.row < 0 or lineage is None else lineage.track[doubt.row]
                texts = (k + 1, doubt.kind, doubt.frame, track, f"{doubt.doubt:.2f}", f"{doubt.gain:.2f}", doubt.why)
                for column, text in enumerate(texts):
                    self.table.setItem(k, column, QTableWidgetItem(str(text)))
                    self.table.item(k, column).setToolTip(html.escape(doubt.why))
            self.table.setCurrentCell(-1, -1)
        if lineage is None:
            self.message.setText("Open a result of gnntrack, or track a movie: widget 'Segment and track'.")
        else:
            self.message.setText("" if self.doubts else "No place to check. Click a cell to correct it.")
        self.about.setText("")
        self._list_edits()
        self._allow()

    def _list_edits(self) -> None:
        revision = self._get_revision(make=False)
        self.list.clear()
        for number, edit in enumerate(() if revision is None else revision.shown.edits, start=1):
            self.list.addItem(f"{number}. {edit}")

    def _allow(self) -> None:
        """Enable the buttons that can be used now."""
        busy = self.job is not None
        revision = self._get_revision(make=False)
        edits = () if revision is None else revision.shown.edits
        for kind in _EDITS:
            self.find_button(kind).setEnabled(not busy and self.selected >= 0)
        for name in ("previous", "next"):
            self.find_button(name).setEnabled(bool(self.doubts))
        for name in ("undo", "save_edits", "save_result"):
            self.find_button(name).setEnabled(not busy and bool(edits))
        self.find_button("redo").setEnabled(not busy and revision is not None and bool(revision.undone))
        self.find_button("stop").setEnabled(busy)
        self.choice.setEnabled(not busy)

    # ------------------------------------------------------------------ places and cells

    def step(self, by: int) -> None:
        """Go to another place of the list."""
        if self.doubts:
            now = self.table.currentRow()
            row = (now + by) % len(self.doubts) if now >= 0 else 0 if by > 0 else len(self.doubts) - 1
            self.table.setCurrentCell(row, 0)

    def _on_row(self, row: int, *_rest: int) -> None:
        if self.lineage is None or not 0 <= row < len(self.doubts):
            return
        doubt = self.doubts[row]
        if doubt.row >= 0:
            self._kind, self._rows = "", []
            self.select(doubt.row)
            look_at(self.viewer, self._find_group(), self.lineage, doubt.row)
        else:  # a frame without cells
            tracks = self._get_layer()
            axis = self.viewer.dims.ndim - tracks.ndim
            time = tracks.data_to_world([doubt.frame, *[0] * (tracks.ndim - 1)])[0]
            self.viewer.dims.set_point(axis, float(time))
        self.message.setText(f"{doubt.kind}: {doubt.why}")

    def _on_click(self, _viewer: Any, event: Any) -> Iterator[None]:
        """Select the cell under the mouse, unless it is moved."""
        yield
        moved = False
        while event.type == "mouse_move":
            moved = True
            yield
        if moved or self.lineage is None or self.job is not None:
            return
        view = {"view_direction": event.view_direction, "dims_displayed": list(event.dims_displayed)}
        row = find_cell(self._find_group(), self.lineage, event.position, **view)
        if row >= 0:
            self.choose(row)

    def _find_group(self) -> dict[str, Any]:
        return {} if self.lineage is None else find_group(self.viewer, self._get_layer())

    def choose(self, row: int) -> None:
        """Select a cell, or take it as the next cell of the edit that was begun."""
        if not self._kind:
            self.select(row)
            return
        self._rows.append(row)
        self._continue()

    def select(self, row: int) -> None:
        """Select a cell by its row in the lineage."""
        if self.lineage is None:
            return
        self.selected = row
        mark_cell(self.viewer, self.lineage, [row])
        self.about.setText(_describe_cell(self.lineage, row))
        self._allow()

    # ------------------------------------------------------------------ edits

    def begin(self, kind: str) -> None:
        """Begin an edit of the selected cell; one of several cells waits for the others."""
        if self.lineage is None or self.selected < 0 or self.job is not None:
            return
        self._kind, self._rows = kind, [self.selected]
        self._continue()

    def _continue(self) -> None:
        lineage, kind = self.lineage, self._kind
        if lineage is None:
            return
        if len(self._rows) < _WANTED.get(kind, 1):
            what = "the same cell in another frame" if kind == "join" else f"daughter {len(self._rows)}"
            self.message.setText(f"Click {what}.")
            if kind == "divide" and len(self._rows) == 1:
                layer = self._get_layer()
                frame = min(int(lineage.cells.frame[self._rows[0]]) + 1, lineage.cells.n_frames - 1)
                time = layer.data_to_world([frame, *[0] * (layer.ndim - 1)])[0]
                self.viewer.dims.set_point(self.viewer.dims.ndim - layer.ndim, float(time))
            return
        rows, self._kind, self._rows = self._rows, "", []
        try:
            edit = propose_edit(lineage, kind, rows)
            revision = self._get_revision(make=True)
        except GnntrackError as error:
            self.message.setText(f"Not possible: {error}")
            return
        if revision is not None:
            self._start(lambda progress: revision.add(edit, progress))

    def _change(self, way: str) -> None:
        revision = self._get_revision(make=False)
        if revision is not None and self.job is None:
            self._start(getattr(revision, way))

    def _get_revision(self, *, make: bool) -> Revision | None:
        """Return the edits of the tracks that are shown; they are begun if `make` is True."""
        layer = self._get_layer()
        if layer is None:
            return None
        own = layer.metadata[KEY]  # it keeps the edits, also if this widget is closed
        if make and own.get("revision") is None:
            own["revision"] = _begin(own, own.get("sources") or {})
        revision: Revision | None = own.get("revision")
        if make and revision is not None and revision.shown.lineage is not own["lineage"]:
            msg = f"'{layer.name}' is a copy of corrected tracks; correct those, or save a result and open it"
            raise InputError(msg)
        return revision

    def _start(self, work: Callable[[Progress], Any], *, saved: str | None = None) -> None:
        self.job = job = Job(work, self)
        job.progressed.connect(lambda stage, done, total: self.message.setText(f"{stage}: {done} of {total}"))
        job.done.connect(lambda found, _warnings: self._on_done(found, saved))
        job.failed.connect(lambda error: self._end(f"Not possible: {error}"))
        job.stopped.connect(lambda: self._end("Stopped; nothing was changed."))
        self.message.setText("Solving around the edits ..." if saved is None else f"Writing {saved} ...")
        self._allow()
        job.start()

    def stop(self) -> None:
        """Stop the work; nothing is changed then."""
        if self.job is not None:
            self.job.stop()

    def _end(self, text: str) -> None:
        job, self.job = self.job, None
        if job is not None:
            job.wait()
            job.deleteLater()
        self.message.setText(text)
        self._allow()

    def _on_done(self, found: Solution | None, saved: str | None) -> None:
        revision = self._get_revision(make=False)
        if saved is not None or found is None or revision is None or self.lineage is None:
            self._end(f"Saved: {saved}")
            return
        place = None if self.selected < 0 else _locate(self.lineage, self.selected)
        group = self._find_group()
        revision.accept(found)
        update_group(group, found.lineage)
        self._show(found.lineage)
        row = -1 if place is None else _find_again(found.lineage, place)
        if row >= 0:
            self.select(row)
        self._end(_describe_changes(found))

    # ------------------------------------------------------------------ files

    def _ask_for_edits(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save edits", "edits.json", "Edits (*.json)")
        if path:
            self.save_edits(path)

    def save_edits(self, path: str | Path) -> None:
        """Write the edits as a file for ``gnntrack apply-edits``."""
        revision = self._get_revision(make=False)
        if revision is None:
            return
        try:
            revision.save_edits(path)
        except GnntrackError as error:
            self.message.setText(f"Not saved: {error}")
        else:
            self.message.setText(f"Saved: {path}")

    def _ask_for_result(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save result (a folder)", "corrected_RES")
        if path:
            self.save_result(path)

    def save_result(self, path: str | Path) -> None:
        """Write the corrected lineage as a result."""
        revision = self._get_revision(make=False)
        if revision is not None and self.job is None:
            self._start(lambda progress: revision.save_result(path, progress), saved=str(path))


def _begin(own: dict[str, Any], sources: dict[str, Any]) -> Revision:
    if own.get("result") is None:
        msg = "these tracks were not opened from a result of 'gnntrack track'; open its folder with gnntrack"
        raise InputError(msg)
    revision = Revision(own["result"], **sources)
    # the lineage that is shown is the one that edits name
    revision.shown = revision.shown._replace(lineage=own["lineage"])
    return revision


def _describe_cell(lineage: Lineage, row: int) -> str:
    cells = lineage.cells
    track = lineage[int(lineage.track[row])]
    parts = [f"frame {cells.frame[row]}, track {track.id}, frames {track.start} to {track.end}"]
    past = find_past(lineage, row)
    if past >= 0:
        confidence = float(lineage.confidence[lineage.target == row][0])
        of = f"track {lineage.track[past]}, " if lineage.track[past] != track.id else ""
        parts.append(f"linked to {of}frame {cells.frame[past]} with confidence {confidence:.2f}")
    if track.daughters:
        parts.append(f"daughters {', '.join(map(str, track.daughters))}")
    return "Selected cell: " + "; ".join(parts)


def _describe_changes(solution: Solution) -> str:
    changes = solution.changes
    lost = "".join(f"\nNot kept: {edit}: {reason}" for edit, reason in solution.refused)
    if not changes:
        return f"Solved again; no other link changed.{lost}"
    shown = "; ".join(map(str, changes[:_SHOWN])) + (" ..." if len(changes) > _SHOWN else "")
    return f"Solved again; {count_noun(len(changes), 'other link')} changed: {shown}{lost}"


def _locate(lineage: Lineage, row: int) -> tuple[int, tuple[float, ...]]:
    return int(lineage.cells.frame[row]), tuple(lineage.cells.position[row].tolist())


def _find_again(lineage: Lineage, place: tuple[int, tuple[float, ...]]) -> int:
    """Return the row of the cell at a place, -1 if it is gone."""
    frame, position = place
    for row in (lineage.cells.frame == frame).nonzero()[0].tolist():
        if abs(lineage.cells.position[row] - position).max() < 1e-6:
            return int(row)
    return -1
