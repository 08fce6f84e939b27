#!/usr/bin/env bash
# btrack: a wheel for "any" platform that holds compiled libraries, for Linux only one of x86-64 and of a recent compiler.
#
# Versions: btrack 0.7.0 (wheel py3-none-any), pyelftools 0.32, Python 3.11 or later.
# Setting: an installation on a Linux machine, as for a benchmark of trackers.
# Guess: a wheel tagged py3-none-any, with Root-Is-Purelib true, is pure Python, so that it runs wherever pip installs it;
#   a tracker in C++ comes as wheels for platforms, such as manylinux_2_28, which fix the oldest library that is needed.
# Seen: the wheel holds libtracker for Linux, macOS and Windows. That for Linux is x86-64 only, and needs symbols of
#   GLIBCXX_3.4.32, the libstdc++ of GCC 13. pip installs it on ARM, and on distributions of GCC 12 and older (Debian 12,
#   Ubuntu 22.04), where `import btrack` passes and the first `BayesianTracker()` raises.
# Output seen:
#   tag py3-none-any, Root-Is-Purelib true
#   libraries ['libtracker.DLL', 'libtracker.dylib', 'libtracker.so']
#   machine x64
#   newest symbol version of libstdc++ GLIBCXX_3.4.32
# Remedy: on older distributions btrack 0.6.5 with pydantic 1, in an environment of its own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pyelftools==0.32"
"$folder/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$folder" "btrack==0.7.0"
cd "$folder"
venv/bin/python - > seen.txt <<'PY'
import io
import zipfile
from pathlib import Path

from elftools.elf.elffile import ELFFile

[file] = Path().glob("btrack-*.whl")
with zipfile.ZipFile(file) as wheel:
    [about] = [name for name in wheel.namelist() if name.endswith("/WHEEL")]
    facts = dict(line.split(": ") for line in wheel.read(about).decode().split("\n") if ": " in line)
    print(f"tag {facts['Tag']}, Root-Is-Purelib {facts['Root-Is-Purelib']}")
    print("libraries", sorted(Path(name).name for name in wheel.namelist() if "/libs/libtracker" in name))
    library = ELFFile(io.BytesIO(wheel.read("btrack/libs/libtracker.so")))
print("machine", library.get_machine_arch())
needed = [
    version.name
    for _, versions in library.get_section_by_name(".gnu.version_r").iter_versions()
    for version in versions
    if version.name.startswith("GLIBCXX_3")
]
newest = max(needed, key=lambda name: [int(part) for part in name.removeprefix("GLIBCXX_").split(".")])
print("newest symbol version of libstdc++", newest)
PY
cat seen.txt
diff seen.txt - <<'EXPECTED'
tag py3-none-any, Root-Is-Purelib true
libraries ['libtracker.DLL', 'libtracker.dylib', 'libtracker.so']
machine x64
newest symbol version of libstdc++ GLIBCXX_3.4.32
EXPECTED
echo "the behaviour is as described"
