r"""3D instance segmentation on point clouds and surfaces: the parts of `segmenters.diffusionnet`.

::

    stack --points--> cloud of its volume ---\
        \--surface--> cloud of its surface ---+--blocks, operators--> shapes --network, grouping--> labels
"""
