from .cells import INTENSITY_FEATURES as INTENSITY_FEATURES
from .cells import SHAPE_FEATURES as SHAPE_FEATURES
from .cells import feature_columns as feature_columns
from .cells import measure_cells as measure_cells
from .shapes import MESH_FORMATS as MESH_FORMATS
from .shapes import measure_shapes as measure_shapes
from .shapes import write_shapes as write_shapes
