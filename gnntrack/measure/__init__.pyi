from .cells import INTENSITY_FEATURES as INTENSITY_FEATURES
from .cells import SHAPE_FEATURES as SHAPE_FEATURES
from .cells import list_features as list_features
from .cells import measure_cells as measure_cells
from .shapes import list_shape_columns as list_shape_columns
from .shapes import measure_shapes as measure_shapes
