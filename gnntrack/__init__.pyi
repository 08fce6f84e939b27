from . import evaluate as evaluate
from . import simulate as simulate
from .analysing import Analysis as Analysis
from .analysing import analyse as analyse
from .corrections import apply_edits as apply_edits
from .errors import GnntrackError as GnntrackError
from .errors import GnntrackWarning as GnntrackWarning
from .errors import InputError as InputError
from .importing import import_tracks as import_tracks
from .io import open_frames as open_frames
from .loading import load as load
from .pipeline import build_graph as build_graph
from .pipeline import export as export
from .pipeline import segment as segment
from .pipeline import solve as solve
from .pipeline import track as track
from .reporting import write_report as write_report
from .settings import Settings as Settings
from .types import CellGraph as CellGraph
from .types import Cells as Cells
from .types import Lineage as Lineage
from .types import LinkScores as LinkScores
from .types import Provenance as Provenance
from .types import Track as Track

__version__: str
