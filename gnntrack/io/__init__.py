"""Files in and out, one module per format; each is loaded with its first use.

``frames`` opens movies and masks, ``output`` moves a finished result into place, ``ctc`` reads and
writes results of the Cell Tracking Challenge and ``ctc_validate`` checks them, ``geff`` keeps
graphs and lineages, ``tables`` writes CSV.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
