"""Layers as dense convolutions and products run by OpenVINO: like ONNX Runtime, an option for dense activity.

All layers are compiled at once, for any number of steps, when the engine is made.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from evpipe.packets import F32
from operators.engines.seam import Layer


def linear_map(layers: list[Layer], threads: int) -> Callable[[int, F32], F32]:
    """The map of `operators.engines.dense.Dense`, on `threads` threads."""
    core: Any = import_module("openvino").Core()
    options = {
        # Without it, processors that have 16-bit units would round weights and inputs to them.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # The cores are those of a pipeline's other nodes too.
        "ENABLE_CPU_PINNING": False,
    }
    requests = [core.compile_model(_model(layer), "CPU", options).create_infer_request() for layer in layers]

    def run(index: int, inputs: F32) -> F32:
        layer, steps = layers[index], len(inputs)
        shape = (steps, *layer.inputs) if layer.stride else (steps, inputs[0].size)
        found = requests[index].infer([inputs.reshape(shape)], share_inputs=True, share_outputs=True)
        currents: F32 = found[0]
        return currents.reshape(steps, layer.pixels, -1)

    return run


def _model(layer: Layer) -> Any:
    """One layer for any number of steps S: [S, H, W, P] -> [S, H', W', C], or [S, H * W * P] -> [S, C]."""
    operations: Any = import_module("openvino.opset13")
    if layer.stride:
        weights = np.ascontiguousarray(layer.weights.transpose(3, 2, 0, 1))
        given = operations.parameter([-1, *layer.inputs], np.float32)
        picture = operations.transpose(given, [0, 3, 1, 2])
        strides, around = [layer.stride] * 2, [1, 1]
        mapped = operations.convolution(picture, operations.constant(weights), strides, around, around, [1, 1])
        found = operations.transpose(mapped, [0, 2, 3, 1])
    else:
        weights = layer.weights.reshape(-1, layer.outputs[2])
        given = operations.parameter([-1, len(weights)], np.float32)
        found = operations.matmul(given, operations.constant(weights), transpose_a=False, transpose_b=False)
    return import_module("openvino").Model([found], [given], "layer")
