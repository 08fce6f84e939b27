"""Images with labels for the training of segmenters: finding them in folders, reading and splitting them.

Layouts of folders::

    DATASET/NN/t000.tif            the Cell Tracking Challenge (CTC): images,
    DATASET/NN_GT/SEG              gold labels, drawn by people: man_seg000.tif, or man_seg_000_004.tif for plane 4,
    DATASET/NN_ST/SEG              silver labels, computed: man_seg000.tif
    FOLDER/a.bmp, a_anno.bmp       pairs side by side; also _mask, _masks, _label, _labels, _seg and _gt,
                                   and -, a space or a dot for _; cellpose's a_seg.npy and a_cp_masks.png
    FOLDER/a.tif, Labels.tif       a single image with labels drawn in napari; or a folder of such folders
    FOLDER/images/a.png, masks/a.png   pairs in two folders: images, image, raw or img, and masks, mask, labels, label,
                                   annotations or gt; the names of the labels may end with _mask and so on here too
    FOLDER/ID/images/ID.png, ID/masks/*.png   the Data Science Bowl 2018: a mask per cell
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
