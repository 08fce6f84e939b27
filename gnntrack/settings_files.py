"""The settings files that come with gnntrack, found by their names."""

from __future__ import annotations

from pathlib import Path

from gnntrack.errors import SettingsError

__all__ = ["find_settings_file", "list_settings_files"]


def find_settings_file(path: Path) -> Path:
    """Return the settings file for the option ``--config``: a path, or the name of one that comes with gnntrack.

    Raises
    ------
    SettingsError
        If the text is neither a path with a suffix nor such a name.

    Examples
    --------
    >>> find_settings_file(Path("my.toml")).name, find_settings_file(Path("Fluo-N2DL-HeLa")).name
    ('my.toml', 'Fluo-N2DL-HeLa.toml')
    """
    if path.suffix or path.is_file() or len(path.parts) != 1:
        return path
    shipped = list_settings_files()
    if path.name not in shipped:
        msg = (
            f"{path}: this settings file does not exist; write one with 'gnntrack init-config', "
            f"or give one of the names {', '.join(sorted(shipped))}"
        )
        raise SettingsError(msg)
    return shipped[path.name]


def list_settings_files() -> dict[str, Path]:
    """Return the files by name: of an installed package, or of a checkout of the repository.

    Examples
    --------
    >>> "Fluo-N2DL-HeLa" in list_settings_files()
    True
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "configs", package.parent / "configs"):
        if folder.is_dir():
            return {file.stem: file for file in folder.glob("*.toml")}
    return {}
