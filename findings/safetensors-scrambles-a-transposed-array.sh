#!/usr/bin/env bash
# safetensors 0.8 saves a transposed numpy array as other numbers, without a word; 0.7 saved it rightly.
#
# It writes the array's memory as it lies there, and the shape beside it. Of a matrix in Fortran's order, as
# `.T`, `transpose` or scikit-learn leave it, shape and sum come back, and every number stands elsewhere.
# Weights that are turned from one framework's layout into another's are just that: the network loads, runs,
# and separates nothing. `numpy.ascontiguousarray` first.
# Seen with safetensors 0.8.0: of 12 numbers 10 are wrong; with 0.7.0 none.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq safetensors==0.8.0 numpy==2.4.6 || exit 2
"$work/venv/bin/pip" install -qq --no-deps --target "$work/older" safetensors==0.7.0 || exit 2
cat >"$work/saved.py" <<'END'
import sys
import numpy as np, safetensors
from safetensors.numpy import load_file, save_file

weights = np.arange(12, dtype=np.float32).reshape(3, 4).T
save_file({"weights": weights}, sys.argv[1])
loaded = load_file(sys.argv[1])["weights"]
assert loaded.shape == weights.shape and loaded.sum() == weights.sum()
print(safetensors.__version__, int((loaded != weights).sum()))
END
cd "$work"
read -r old old_wrong < <(PYTHONPATH=older venv/bin/python saved.py old.safetensors)
read -r new new_wrong < <(venv/bin/python saved.py new.safetensors)
echo "version:  safetensors $old and $new"
echo "expected: the array comes back as it was, or is refused, as in safetensors.torch"
echo "seen:     of 12 numbers $old_wrong are wrong with $old, $new_wrong with $new"
[ "$old $old_wrong" = "0.7.0 0" ] && [ "$new_wrong" = 10 ]
