from .registry import SOLVERS as SOLVERS
from .registry import Solver as Solver
from .registry import solve as solve
