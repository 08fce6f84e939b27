"""Adds the manual pages of the commands to the wheel, in share/man/man1, where ``man`` finds them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPages(BuildHookInterface):
    """Writes the pages from the help of the commands."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Write the pages, and list them among the files of the wheel."""
        sys.path.insert(0, self.root)
        from gnntrack.cli import cli
        from gnntrack.cli.manual import iterate_pages

        self.folder = tempfile.TemporaryDirectory()
        for name, text in iterate_pages(cli):
            page = Path(self.folder.name) / name
            page.write_text(text, encoding="utf-8")
            build_data["shared_data"][str(page)] = f"share/man/man1/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the folder of the pages."""
        self.folder.cleanup()
