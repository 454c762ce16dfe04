"""Simulated moving shapes with exact boxes: discs, boxes and triangles that glide, turn and hide each other."""

from sensors.shapes.camera import ShapesCamera, clip_events

__all__ = ["ShapesCamera", "clip_events"]
