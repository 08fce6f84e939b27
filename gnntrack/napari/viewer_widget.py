"""What the widgets share: they follow the layers of a viewer as long as they are part of its window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    from gnntrack.napari.jobs import Job

__all__ = ["ViewerWidget"]


class ViewerWidget(QWidget):  # type: ignore[misc]
    """A widget that works on the layers of a viewer.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.viewer = viewer
        self.job: Job | None = None
        self._followed: list[tuple[Any, Callable[..., Any]]] = []

    def follow(self, on_layers: Callable[..., Any], on_click: Callable[..., Any] | None = None) -> None:
        """Call functions when layers change, and when the mouse is pressed in the viewer."""
        events = self.viewer.layers.events
        for emitter in (events.inserted, events.removed, events.renamed):
            emitter.connect(on_layers)
            self._followed.append((emitter.disconnect, on_layers))
        if on_click is not None:
            self.viewer.mouse_drag_callbacks.append(on_click)
            self._followed.append((self.viewer.mouse_drag_callbacks.remove, on_click))

    def leave(self) -> None:
        """Stop the work, and do not follow the viewer any more."""
        if self.job is not None:
            self.job.stop()
            self.job.wait()
        while self._followed:
            end, function = self._followed.pop()
            end(function)

    def event(self, event: Any) -> bool:
        """Leave the viewer when napari takes the widget out of its window, which it does without closing it."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.leave()
        return bool(super().event(event))

    def closeEvent(self, event: Any) -> None:  # noqa: N802  (Qt calls it)
        """Leave the viewer."""
        self.leave()
        super().closeEvent(event)
