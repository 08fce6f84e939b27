"""The parts of `segmenters.maskrcnn`: the network, its training task, and labels from its detections."""
