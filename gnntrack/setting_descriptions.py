"""The meaning of each setting: the text below it in the source, read when help or a settings file is written.

The source is parsed only then: that takes longer than importing the settings.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_descriptions"]


@functools.cache
def read_descriptions(source: Path) -> dict[str, dict[str, str]]:
    r"""Return class -> setting -> the text below the setting.

    Parameters
    ----------
    source : Path
        A Python file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp(), "a.py")
    >>> _ = file.write_text("class A:\n    size: int = 1\n    'Pixels.'")
    >>> read_descriptions(file)
    {'A': {'size': 'Pixels.'}}
    """
    classes = [node for node in ast.parse(source.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return {each.name: dict(_list_descriptions(each)) for each in classes}


def _list_descriptions(section: ast.ClassDef) -> list[tuple[str, str]]:
    found = []
    for setting, text in itertools.pairwise(section.body):
        match setting, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(about))):
                found.append((name, inspect.cleandoc(about)))
    return found
