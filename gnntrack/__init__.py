r"""gnntrack: masks of a microscopy movie go in, a verified lineage comes out, and a graph carries it all the way.

::

    images --segmenters--> masks --measure--> Cells --graph--> CellGraph --scores--> LinkScores
                                                                   |                     |
                                                                   +------ solvers <-----+
                                                                              | chosen links
                                                                           lineage --> Lineage --> io: CTC, GEFF, ...
                                                                                          +--> evaluate | analysis
                                                                                          +--> report: page, video
    corrections: edits in the page (serving) or in napari --> lineage: constraints --> solvers
    training: the same build_graph + a known lineage --> training --> models --> gnn.predict

Importing this package loads no stage; each is loaded when it is first used. The packages ``evaluate`` and ``simulate``
can be called: they are also the recipes of these names.
"""

import logging

import lazy_loader

from gnntrack.user_warnings import WarningHandler

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

for _name in ("gnntrack", "segmenters"):
    logging.getLogger(_name).addHandler(WarningHandler())
