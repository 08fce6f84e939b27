from .build import build_lineage as build_lineage
from .build import divisions as divisions
from .build import gaps as gaps
from .field_of_interest import keep_field as keep_field
from .repair import Repaired as Repaired
from .repair import fill_gaps as fill_gaps
from .repair import join_pieces as join_pieces
