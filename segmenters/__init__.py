"""Built-in segmenters; each registers itself under the entry-point group ``gnntrack.segmenters``."""
