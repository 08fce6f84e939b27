from .counts import Counts as Counts
from .counts import compare_labels as compare_labels
from .segmentation import SegmentationReport as SegmentationReport
from .segmentation import evaluate_segmentation as evaluate_segmentation
from .tracking import average_scores as average_scores
from .tracking import evaluate_sequence as evaluate_sequence
from .tracking import evaluate_sequences as evaluate_sequences
