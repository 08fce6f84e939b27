"""Shared by the detectors: the coarse grid, the size of the cells, peaks."""
