from .classical import score_links as score_links
from .classical import score_overlap as score_overlap
