r"""gnntrack: masks of a microscopy movie go in, a verified lineage comes out, and a graph carries it all the way.

::

    images --segmenters--> masks --cells--> Cells --graph--> CellGraph --scores | gnn--> LinkScores
                                                                 |                          |
                                                                 +---------- solvers <------+
                                                                                | chosen links
                                                                             lineage --> Lineage --> io.ctc | io.geff
                                                                                            \--> evaluate | report

Importing this package loads none of its stages; each comes with its first use. Evaluation and simulation
are ``gnntrack.evaluate.evaluate_sequences`` and ``gnntrack.pipeline.simulate``: a function beside a module of the
same name would vanish with the module's first import.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
