"""Who computes a trained network's layers: compiled event by event, torch, optional libraries."""

from typing import Literal

EngineName = Literal["auto", "event_driven", "torch", "onnxruntime", "openvino", "compile"]
