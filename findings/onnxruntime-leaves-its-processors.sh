#!/usr/bin/env bash
# onnxruntime, told to stay on one processor by `taskset`, nails a thread of its own to another.
#
# Unasked for a number of threads, it starts one for each core of the machine and ties each to a core: the
# same ones in every process. Two workers of an engine meet on them, and a service whose processors were
# kept free for it has company. With a number, be it the same one, its threads go where the process may.
# Seen with onnxruntime 1.32.0 on 2 cores: allowed is 0, and a thread is bound to 1.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq onnxruntime==1.32.0 numpy==2.4.6 onnx==1.22.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import os, sys, time

allowed = {min(os.sched_getaffinity(0))}
if len(os.sched_getaffinity(0)) < 2:
    print("this needs two processors")
    sys.exit(2)
os.sched_setaffinity(0, allowed)  # what taskset does
import onnx, onnxruntime
from onnx import TensorProto, helper

shape = ["given"], ["made"]
tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in ("given", "made")]
graph = helper.make_graph([helper.make_node("Relu", *shape)], "graph", tensors[:1], tensors[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

def threads():
    return {int(name) for name in os.listdir("/proc/self/task")}

def elsewhere(count):
    """(threads that a session starts, processors of theirs that this process must not use)."""
    before = threads()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    time.sleep(2)  # a thread ties itself as it starts
    own = threads() - before
    return len(own), set().union(*map(os.sched_getaffinity, own)) - allowed

unasked, outside = elsewhere(0)
asked, inside = elsewhere(unasked + 1)
print("version:  onnxruntime", onnxruntime.__version__)
print(f"expected: threads on processor {allowed} only, all that this process may use")
print(f"seen:     unasked {unasked} more thread(s), bound to {outside or 'none'} besides;")
print(f"          asked for as many, {asked}, bound to {inside or 'none'} besides")
if not unasked:
    sys.exit(2)  # one core: no further threads
sys.exit(0 if outside and asked == unasked and not inside else 1)
END
