#!/usr/bin/env bash
# A model that is saved twice by safetensors has two SHA-256: its metadata come in a new order each time.
#
# The tensors' bytes are equal, and so is all that loads them. The header's metadata stand in the order of a
# hash table with a random seed. A cache by the file's hash misses, an artefact looks changed, and who pins
# a model by its hash can't build it again. One entry has one order: hash the tensors, or keep one entry.
# Seen with safetensors 0.8.0: ten savings with five entries have ten hashes; with one entry, or none, one.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq safetensors==0.8.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import hashlib, sys
import numpy as np, safetensors
from safetensors.numpy import save

tensors = {"encoder": np.ones((4, 4), np.float32), "decoder": np.zeros((4, 4), np.float32)}
about = {"stems": "4", "rate": "44100", "author": "us", "licence": "MIT", "made": "2026-11-29"}

def hashes(metadata):
    return len({hashlib.sha256(save(tensors, metadata)).hexdigest() for _ in range(10)})

none, one, five = hashes(None), hashes({"about": str(about)}), hashes(about)
print("version:  safetensors", safetensors.__version__)
print("expected: the same tensors and metadata make the same file")
print(f"seen:     ten savings with five entries have {five} hashes, with one {one}, with none {none}")
sys.exit(0 if none == one == 1 and five > 3 else 1)
END
