from .budget import TimeBudget as TimeBudget
from .outcomes import Outcome as Outcome
from .outcomes import describe_fallbacks as describe_fallbacks
from .positions import Position as Position
from .positions import find_positions as find_positions
from .results import list_results as list_results
from .running import track_positions as track_positions
