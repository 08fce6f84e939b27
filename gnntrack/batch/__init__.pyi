from .positions import Position as Position
from .positions import find_positions as find_positions
from .running import Outcome as Outcome
from .running import track_positions as track_positions
