"""Reading and writing of files, one module per format; each is imported when it is first used.

Movies and masks are opened by ``frames``: ``sources`` finds the reader of a path or array (``tiff``, ``omezarr``,
``numpy_files``, ``video``, ``bio``, or ``series`` for a file per frame); ``folders``, ``patterns`` and ``numbering``
find the files of a movie. Single images are opened by ``images``. Results are written through ``output``; ``writers``
has the formats of ``export``: ``ctc`` (Cell Tracking Challenge, checked by ``ctc_validate``), ``geff`` (graphs and
lineages) and ``tables`` (CSV).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
