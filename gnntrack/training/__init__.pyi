from .links import learn as learn
from .links import train as train
from .loop import run_training as run_training
from .segmenter import train_segmenter as train_segmenter
