"""Shared by the segmenters: input checks, training plug-in points, models, tiles and pixel statistics."""
