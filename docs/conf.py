"""Settings of Sphinx: ``make docs`` renders the Markdown pages of the repository in place, so links work on GitHub too.

The source folder is the repository, not ``docs``, because the pages link to README, CONTRIBUTING and the results of
benchmarks. Only the files of `include_patterns` are pages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
from sphinx.application import Sphinx

import gnntrack
from gnntrack.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]

project = "gnntrack"
author = "The gnntrack authors"
project_copyright = author
version = release = gnntrack.__version__
language = "en"
smartquotes = False  # --option is not a dash

root_doc = "docs/README"  # the index of the pages on GitHub; `add_navigation` makes the navigation of its tables
include_patterns = [
    "*.md",
    "docs/**.md",
    "docs/notebooks/*.ipynb",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
    "segmenters/README.md",
    "*/weights/README.md",
]
exclude_patterns = ["docs/_build", "build", "dist", "**/.ipynb_checkpoints"]
exclude_patterns += [each.name for each in ROOT.iterdir() if each.is_dir() and each.name.startswith(".")]

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_click",
    "sphinx_copybutton",
]
nitpicky = True
suppress_warnings = ["misc.highlighting_failure"]  # blocks without a language are commands, but some are drawings

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
highlight_language = "bash"
pygments_style = "friendly"
pygments_dark_style = "github-dark"

nb_execution_mode = "force"
nb_execution_timeout = 120
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_typehints = "none"  # types stand in the docstrings, with shapes and units
autodoc_member_order = "bysource"
default_role = "code"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_title = f"gnntrack {release}"
html_theme_options = {"navigation_with_keys": True}
html_show_sourcelink = False
html_copy_source = False
html_extra_path = ["site"]
html_static_path = ["static"]
html_css_files = ["site.css"]

# notebooks run on the code of this checkout
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


# pages that no table of docs/README.md lists: page that they belong to, and their patterns
SUBPAGES = {
    "docs/api": ("/docs/api/*",),
    "docs/gnn": ("/gnntrack/weights/README",),
    "benchmarks/README": ("/benchmarks/results/*",),
    "segmenters/README": ("/segmenters/weights/README",),
}
TABLE = re.compile(r"^\| ([^|\n]+) \| \|\n\|---\|---\|\n((?:\|.*\n?)+)", re.MULTILINE)


def add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Add a table of contents to the index, for each of its tables, and to the pages that have pages below them."""
    if page == root_doc:
        source[0] += "".join(_format_contents(_find_pages(rows), caption) for caption, rows in TABLE.findall(source[0]))
    if page in SUBPAGES:
        source[0] += _format_contents(SUBPAGES[page])
    if page == "docs/cli":
        source[0] += "\n\n## The commands\n" + "".join(_describe_commands())


def _find_pages(rows: str) -> tuple[str, ...]:
    """Return the pages that rows of a table link to, in their order, each once."""
    links = re.findall(r"\]\(([^)#:]+)\.(?:md|ipynb)\)", rows)
    paths = [(ROOT / "docs" / link).resolve().relative_to(ROOT) for link in links]
    return tuple(dict.fromkeys(f"/{path.as_posix()}" for path in paths))


def _format_contents(pages: tuple[str, ...], caption: str = "") -> str:
    title = f":caption: {caption[0].upper()}{caption[1:]}\n" if caption else ""
    entries = "\n".join(f"README <{page}>" if page == "/README" else page for page in pages)  # its title is "gnntrack"
    return "\n\n```{toctree}\n:hidden:\n:glob:\n" + title + "\n" + entries + "\n```\n"


def _describe_commands() -> Iterator[str]:
    """Yield the directive that describes a command, for each command in the order of use."""
    context = click.Context(cli)
    for name, (module, _about) in COMMANDS.items():
        command = cli.get_command(context, name)
        _read_helps(click.Context(command, info_name=name, parent=context))
        owner = import_module(f"gnntrack.cli.{module}")
        attribute = next(each for each, value in vars(owner).items() if value is command)
        lines = f".. click:: {owner.__name__}:{attribute}\n   :prog: gnntrack {name}\n   :nested: none\n"
        yield f"\n\n```{{eval-rst}}\n{lines}```\n"


def _read_helps(context: click.Context) -> None:
    """Let options read their help and the kind of their value now, which they do otherwise when the help is shown."""
    for option in context.command.params:
        if isinstance(option, click.Option):
            option.get_help_record(context)
            if not option.is_flag and not option.count:
                option.metavar = option.make_metavar(context)


def escape_stars(_app: Sphinx, _context: click.Context, lines: list[str]) -> None:
    """Keep the stars of patterns in a help, such as ``*_mask.png``, from starting an emphasis."""
    lines[:] = [line.replace("*", "\\*") for line in lines]


def mark_example(_app: Sphinx, _context: click.Context, lines: list[str]) -> None:
    """Show the example of a command as code."""
    lines[:] = [re.sub(r"^Example: (.+)$", r"Example: ``\1``", line) for line in lines]


def write_api_pages(_app: Sphinx) -> None:
    """Write a page for gnntrack and for each of its packages with public names, in docs/api."""
    folder = ROOT / "docs" / "api"
    folder.mkdir(exist_ok=True)
    for stub in ROOT.glob("gnntrack/**/__init__.pyi"):
        name = ".".join(stub.parent.relative_to(ROOT).parts)
        text = f"# {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n"
        page = folder / f"{stub.parent.name}.md"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Connect the functions of this file."""
    app.connect("builder-inited", write_api_pages)
    app.connect("source-read", add_navigation)
    app.connect("sphinx-click-process-description", escape_stars)
    app.connect("sphinx-click-process-options", escape_stars)
    app.connect("sphinx-click-process-epilog", mark_example)
