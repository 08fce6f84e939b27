#!/usr/bin/env bash
# torch-geometric: the import of one layer loads the compiler of torch, all data sets, and tools for language models.
#
# Versions: torch-geometric 2.8.1, torch 2.14.1, Python 3.11 or later.
# Setting: a command that scores a small graph by a network with one message-passing layer.
# Guess: `from torch_geometric.nn import MessagePassing` loads little more than torch itself; data sets are loaded by those
#   who use them, and torch._dynamo by the first torch.compile, as after `import torch` alone.
# Seen: both packages' heavy parts are loaded by the package itself (torch_geometric.isinstance, .datasets, .llm), whatever
#   is imported from it: nearly three times as many modules as torch alone, and on a laptop more seconds than the network.
# Output seen (the number of modules varies a little):
#   after torch: none of them
#   after MessagePassing: torch._dynamo torch.distributed.fsdp torch_geometric.datasets torch_geometric.llm
#   more than twice as many modules: True
# Remedy: `Tensor.index_add_` does the sum over neighbours; torch-geometric is imported only where more of it is needed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "torch==2.14.1" "torch-geometric==2.8.1" numpy
cd "$folder"
venv/bin/python -W ignore - > seen.txt <<'PY'
import sys

import torch  # noqa: F401

heavy = ("torch._dynamo", "torch.distributed.fsdp", "torch_geometric.datasets", "torch_geometric.llm")
before = len(sys.modules)
print("after torch:", " ".join(name for name in heavy if name in sys.modules) or "none of them")
from torch_geometric.nn import MessagePassing  # noqa: E402, F401

print("after MessagePassing:", " ".join(name for name in heavy if name in sys.modules))
print("more than twice as many modules:", len(sys.modules) > 2 * before)
PY
cat seen.txt
diff seen.txt - <<'EXPECTED'
after torch: none of them
after MessagePassing: torch._dynamo torch.distributed.fsdp torch_geometric.datasets torch_geometric.llm
more than twice as many modules: True
EXPECTED
echo "the behaviour is as described"
