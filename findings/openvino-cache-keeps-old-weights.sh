#!/usr/bin/env bash
# A model whose weights were replaced still answers with the old ones, when OpenVINO caches what it compiles.
#
# A model is two files, `.xml` and `.bin`. With CACHE_DIR, `compile_model("model.xml")` looks at the first
# alone to see whether it knows it; new weights of the same network change only the second. A better model
# is rolled out, and every song is still separated by the old one. `read_model` first looks at the weights.
# Seen with OpenVINO 2026.4.1: weights of 1 become weights of 2, and the answer stays 64 instead of 128.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq openvino==2026.4.1 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import pathlib, shutil, sys

sys.modules["openvino_telemetry"] = None  # it would send statistics
import numpy as np
import openvino
from openvino import opset13

def save(weight, name):
    """A network of one product; it differs by its weights only."""
    given = opset13.parameter([1, 64], np.float32, name="given")
    weights = opset13.constant(np.full((64, 64), weight, np.float32), name="weights")
    product = opset13.matmul(given, weights, False, False, name="product")
    model = openvino.Model([product], [given], "network")
    openvino.save_model(model, name, compress_to_fp16=False)

def answer(cache=None, read=False):
    core = openvino.Core()
    if cache:
        core.set_property({"CACHE_DIR": cache})
    compiled = core.compile_model(core.read_model("model.xml") if read else "model.xml", "CPU")
    return float(compiled(np.ones((1, 64), np.float32))[0][0, 0])

save(1, "model.xml")
save(2, "new.xml")
before = answer("cache"), answer("other", read=True)
shutil.move("new.bin", "model.bin")
after, read, plain = answer("cache"), answer("other", read=True), answer()
print("version:  openvino", openvino.__version__)
print(f"expected: {before[0]:.0f} with the old weights, {plain:.0f} with the new ones")
print(f"seen:     {before[0]:.0f} with the old, {after:.0f} with the new; {read:.0f} if `read_model` reads them first")
sys.exit(0 if (*before, after, read, plain) == (64, 64, 64, 128, 128) else 1)
END
