r"""3D instance segmentation on point clouds and surfaces: what `segmenters.diffusionnet` is made of.

::

    stack --points--> cloud of its volume ---\
        \--surface--> cloud of its surface ---+--blocks, operators--> shapes --network--> answers --grouping--> labels
"""
