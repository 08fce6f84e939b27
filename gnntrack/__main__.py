"""``python -m gnntrack``."""

from __future__ import annotations

from gnntrack.cli import main

if __name__ == "__main__":
    main()
