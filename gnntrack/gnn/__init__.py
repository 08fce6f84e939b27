"""Learned scores: a graph neural network over candidate links, its training data, and its weights.

``inputs`` turns a graph into arrays, ``truth`` says which of its links are right, ``corrupt`` spoils movies for
training; ``model`` and ``pdn`` are networks, ``train`` the loop, ``weights`` the files, ``predict`` the scorer.
Only `gnntrack.training` imports torch besides.
"""

import warnings

# torch-geometric compiles with what newer versions of torch call deprecated, when it is imported
warnings.filterwarnings("ignore", message=".torch.jit", category=FutureWarning)
