#!/usr/bin/env bash
# click-man: a group that loads its commands when they are called gets a manual page, its commands get none.
#
# Versions: click-man 0.6.0, click 8.5.1, Python 3.11 or later.
# Setting: a group that overrides `list_commands` and `get_command`, as click's documentation shows for commands in modules
#   of their own; help, completion and errors of click all go through these two methods.
# Guess: `write_man_pages` walks the commands through them as well, and writes a page for each.
# Seen: it reads the dictionary `commands` of the group, which is empty here. It writes the page of the group alone, without
#   a warning, and the command is not on that page either.
# Output seen:
#   pages: prog.1
#   its page names the command: False
# Remedy: fill `commands` before the pages are written, or write them with a walk of one's own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "click-man==0.6.0" "click==8.5.1" setuptools
cd "$folder"
venv/bin/python -W ignore - > seen.txt <<'PY'
from pathlib import Path

import click
from click_man.core import write_man_pages


class Lazy(click.Group):
    def list_commands(self, ctx):
        return ["measure"]

    def get_command(self, ctx, name):
        return click.Command(name, help="Measure the cells.")


Path("pages").mkdir()
write_man_pages("prog", Lazy("prog", help="A program."), target_dir="pages")
print("pages:", *sorted(page.name for page in Path("pages").iterdir()))
print("its page names the command:", "measure" in Path("pages/prog.1").read_text())
PY
cat seen.txt
diff seen.txt - <<'EXPECTED'
pages: prog.1
its page names the command: False
EXPECTED
echo "the behaviour is as described"
