"""Learned scores: graph neural networks over candidate links.

``inputs`` turns a graph into arrays and ``batch`` into tensors; ``linknet`` and ``pdn`` are networks; ``predict`` runs
a network over a movie; ``appearance`` embeds the images of cells; ``loss`` is the training loss; ``weights`` reads and
writes models. The networks are trained by `gnntrack.training`.
"""

import warnings

# torch-geometric uses a compiler that newer versions of torch report as deprecated when it is imported
warnings.filterwarnings("ignore", message=".torch.jit", category=FutureWarning)
