"""Corruption of training movies: masks that are missing, merged, split or shifted, and frames that are skipped."""
