"""Layers as dense convolutions and products run by ONNX Runtime: an option where most inputs are active.

Its cost does not depend on activity. Weights stay float32: 8-bit convolutions of this size were measured slower.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from evpipe.packets import F32
from operators.engines.seam import Layer

OPSET = 17
WORTH_SHARING = 8_000_000  # multiplications; with fewer, waking a second thread takes longer than they do


def linear_map(layers: list[Layer], threads: int) -> Callable[[int, F32], F32]:
    """The map of `operators.engines.dense.Dense`, on `threads` threads where that is worth it."""
    sessions: dict[tuple[int, int], Any] = {}

    def run(index: int, inputs: F32) -> F32:
        layer, steps = layers[index], len(inputs)
        used = threads if steps * layer.pixels * layer.weights.size >= WORTH_SHARING else 1
        if (index, used) not in sessions:
            sessions[index, used] = _session(layer, used)
        shape = (steps, *layer.inputs) if layer.stride else (steps, inputs[0].size)
        currents: F32 = sessions[index, used].run(None, {"inputs": inputs.reshape(shape)})[0]
        return currents.reshape(steps, layer.pixels, -1)

    return run


def _session(layer: Layer, threads: int) -> Any:
    onnxruntime: Any = import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Threads that spin between calls would take the cores of a pipeline's other nodes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(_model(layer), options, providers=["CPUExecutionProvider"])


def _model(layer: Layer) -> bytes:
    """One layer for any number of steps S: [S, H, W, P] -> [S, H', W', C], or [S, H * W * P] -> [S, C]."""
    helper: Any = import_module("onnx.helper")
    arrays: Any = import_module("onnx.numpy_helper")
    FLOAT = import_module("onnx").TensorProto.FLOAT
    C = layer.outputs[2]
    if layer.stride:
        weights = np.ascontiguousarray(layer.weights.transpose(3, 2, 0, 1))
        convolution = {"strides": [layer.stride] * 2, "pads": [1, 1, 1, 1]}
        nodes = [
            helper.make_node("Transpose", ["inputs"], ["picture"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["picture", "weights"], ["mapped"], **convolution),
            helper.make_node("Transpose", ["mapped"], ["currents"], perm=[0, 2, 3, 1]),
        ]
        shapes = ["S", *layer.inputs], ["S", *layer.outputs]
    else:
        weights = layer.weights.reshape(-1, C)
        nodes = [helper.make_node("MatMul", ["inputs", "weights"], ["currents"])]
        shapes = ["S", len(weights)], ["S", C]
    given, found = (
        helper.make_tensor_value_info(name, FLOAT, shape)
        for name, shape in zip(("inputs", "currents"), shapes, strict=True)
    )
    graph = helper.make_graph(nodes, "layer", [given], [found], [arrays.from_array(weights, "weights")])
    # The oldest format that has the operators: any release of ONNX Runtime of the last years reads it.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    serialised: bytes = model.SerializeToString()
    return serialised
