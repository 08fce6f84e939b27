"""Shared by the segmenters that predict every pixel: networks, targets, training, and cells from the predictions.

``unet``, ``fcn`` and ``deeplab`` each add a network.
"""
