"""Figures of a lineage, of its analysis, and of a training.

They are tree and overlay; motion, cell cycles and surroundings; learning curve and reliability.

Each ``draw_*`` function returns a matplotlib ``Figure``; `save_figure` writes it to a file. Tree and overlay give a
family (a track and all its descendants) the same colour. pyplot is never used, so that no window, backend or global
figure changes.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
