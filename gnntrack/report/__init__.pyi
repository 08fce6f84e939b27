from .curve import draw_learning_curve as draw_learning_curve
from .overlay import draw_overlay as draw_overlay
from .palette import choose_family_colours as choose_family_colours
from .reliability import draw_reliability as draw_reliability
from .saving import save_figure as save_figure
from .tree import draw_lineage_tree as draw_lineage_tree
