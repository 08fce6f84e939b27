"""Parts of the detector ``heatmap``."""
