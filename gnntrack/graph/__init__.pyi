from .candidates import build_candidates as build_candidates
from .divisions import DivisionCandidates as DivisionCandidates
from .divisions import predict_positions as predict_positions
from .flow import FlowRecorder as FlowRecorder
from .motion import Motion as Motion
from .motion import estimate_motion as estimate_motion
