from .fragments import Settled as Settled
from .fragments import settle_fragments as settle_fragments
from .runs import encode_frame as encode_frame
from .runs import paint_frame as paint_frame
