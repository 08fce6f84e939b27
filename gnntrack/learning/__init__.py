"""What every network of gnntrack needs, whatever it learns: a loop, checkpoints, files of weights, devices.

It knows no graph and no image; ``gnntrack.gnn`` and the segmenters bring those.
"""
