"""What segmenters share that answer for every pixel: training, tiling, normalisation, and cells from the answers.

``unet``, ``fcn`` and ``deeplab`` bring a network each; all else is here.
"""
