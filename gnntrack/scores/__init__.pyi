from .classical import ClassicalScorer as ClassicalScorer
from .classical import score_links as score_links
from .learned import NetworkScorer as NetworkScorer
from .overlap import OverlapScorer as OverlapScorer
from .overlap import score_by_overlap as score_by_overlap
from .registry import SCORERS as SCORERS
from .registry import CellPixels as CellPixels
from .registry import Scorer as Scorer
