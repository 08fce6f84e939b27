"""gnntrack as a wheel, and the exact versions of the packages that it runs with."""

from __future__ import annotations

import base64
import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gnntrack
from gnntrack.errors import InputError

__all__ = ["find_site", "list_requirements", "read_licence", "write_wheel"]

_PACKAGES = ("gnntrack", "segmenters")
_DENSE = (".safetensors", ".png")  # files that do not get smaller
_OLDEST = (1980, 1, 1, 0, 0, 0)  # one date for all files: the same code makes the same wheel


def list_requirements(roots: Iterable[str] = ("gnntrack",)) -> list[str]:
    """Return the packages that others need, with the versions that are installed: ``name==version``, sorted.

    Parameters
    ----------
    roots : strings
        Requirements, such as ``gnntrack[segmenters]``. gnntrack itself is not in the list.

    Returns
    -------
    list of str
        Versions are without the label of a special build, such as ``+cpu``.

    Raises
    ------
    InputError
        If a package is not installed.

    Examples
    --------
    >>> [line.partition("==")[0] for line in list_requirements() if line.startswith(("click", "lap="))]
    ['click', 'lap']
    """
    waiting = [(Requirement(root), "this submission") for root in roots]
    seen: set[tuple[str, str]] = set()
    pinned: dict[str, str] = {}
    while waiting:
        wanted, needed_by = waiting.pop()
        name = canonicalize_name(wanted.name)
        extras = {(name, extra) for extra in ("", *wanted.extras)} - seen
        if not extras:
            continue
        seen |= extras
        found = _find_distribution(wanted.name, needed_by)
        pinned[name] = found.version.partition("+")[0]
        waiting += [(each, wanted.name) for each in _list_needs(found, {extra for _, extra in extras})]
    pinned.pop("gnntrack", None)
    return [f"{name}=={version}" for name, version in sorted(pinned.items())]


def _find_distribution(name: str, needed_by: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        msg = f"{needed_by} needs the package {name}, which is not installed: pip install {name}"
        raise InputError(msg) from None


def _list_needs(found: Distribution, extras: set[str]) -> Iterator[Requirement]:
    """Yield the requirements of a package that apply here, those of some of its extras too."""
    for text in found.requires or ():
        need = Requirement(text)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
            yield need


def write_wheel(folder: Path) -> Path:
    """Write the code that is running as a wheel, and return its path.

    Parameters
    ----------
    folder : Path
        Where the file ``gnntrack-VERSION-py3-none-any.whl`` is made.

    Raises
    ------
    InputError
        If gnntrack was not installed by pip, or another version of it was.
    """
    installed = _find_distribution("gnntrack", "this submission")
    version = gnntrack.__version__
    if installed.version != version:
        msg = f"gnntrack {installed.version} is installed and {version} is running; install it again: pip install ."
        raise InputError(msg)
    about = f"gnntrack-{version}.dist-info"
    texts = {
        f"{about}/METADATA": installed.read_text("METADATA") or "",
        f"{about}/licenses/LICENSE": read_licence(),
        f"{about}/entry_points.txt": installed.read_text("entry_points.txt") or "",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: gnntrack\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files = {name: path.read_bytes() for name, path in list_package_files().items()}
    files |= {name: text.encode() for name, text in texts.items()}
    record = [f"{name},sha256={_encode_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{about}/RECORD"] = "\n".join([*record, f"{about}/RECORD,,", ""]).encode()
    wheel = folder / f"gnntrack-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            how = zipfile.ZIP_STORED if name.endswith(_DENSE) else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, _OLDEST), content, how)
    return wheel


def read_licence() -> str:
    """Return the text of the licence of gnntrack."""
    return _find_distribution("gnntrack", "this submission").read_text("licenses/LICENSE") or ""


def _encode_digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def list_package_files() -> dict[str, Path]:
    """Return the files of the code that is running, by their names in a wheel."""
    found: dict[str, Path] = {}
    for package in _PACKAGES:
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec is not None else ():
            found |= _list_files(Path(place), package)
    checkout = Path(gnntrack.__file__).resolve().parents[1] / "configs"
    if "gnntrack/configs/default.toml" not in found:
        found |= _list_files(checkout, "gnntrack/configs")
    return found


def _list_files(folder: Path, name: str) -> dict[str, Path]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {f"{name}/{path.relative_to(folder).as_posix()}": path for path in paths}


def find_site(wheel: Path, scratch: Path) -> Path:
    """Return a folder from which Python imports the code of a wheel.

    Parameters
    ----------
    wheel : Path
        A wheel of gnntrack.
    scratch : Path
        Folder that does not exist yet, for the files of the wheel. It is not made if the code that is running is the
        same, whose folder is returned: its compiled functions are stored already.

    Raises
    ------
    InputError
        If the file is not a wheel.
    """
    own = list_package_files()
    try:
        with zipfile.ZipFile(wheel) as archive:
            packed = {each.filename: each.CRC for each in archive.infolist() if ".dist-info/" not in each.filename}
            if packed == {name: zlib.crc32(path.read_bytes()) for name, path in own.items()}:
                return Path(gnntrack.__file__).resolve().parents[1]
            archive.extractall(scratch)
    except zipfile.BadZipFile as error:
        msg = f"{wheel}: it is not a wheel ({error}); copy it again, or write the submission again"
        raise InputError(msg) from error
    return scratch
