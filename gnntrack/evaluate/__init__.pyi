from .segmentation import SegmentationReport as SegmentationReport
from .segmentation import compare_labels as compare_labels
from .segmentation import evaluate_segmentation as evaluate_segmentation
from .tracking import evaluate_sequence as evaluate_sequence
from .tracking import evaluate_sequences as evaluate_sequences
from .tracking import format_scores as format_scores
from .tracking import mean_scores as mean_scores
from .tracking import score_table as score_table
