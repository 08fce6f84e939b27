from .devices import find_device as find_device
from .files import MODEL_FILE as MODEL_FILE
from .files import WEIGHTS_FILE as WEIGHTS_FILE
from .files import Family as Family
from .files import model_folder as model_folder
from .files import read_model as read_model
from .files import write_model as write_model
