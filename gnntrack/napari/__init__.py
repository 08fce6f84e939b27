"""The plug-in for napari: readers, writers, sample data, and the widgets *Segment and track* and *Review and correct*.

``napari.yaml`` beside this file lists them; napari finds it by the entry point ``napari.manifest``. No other module of
gnntrack imports this package, and its readers, writers and tables do not import napari themselves.
"""
