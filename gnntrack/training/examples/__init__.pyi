from .example import Example as Example
from .search import find_examples as find_examples
from .split import split_examples as split_examples
