from .fragments import Settled as Settled
from .fragments import settle_fragments as settle_fragments
from .runs import decode_frame as decode_frame
from .runs import draw_labels as draw_labels
from .runs import encode_frame as encode_frame
from .runs import expand_runs as expand_runs
from .runs import join_frames as join_frames
