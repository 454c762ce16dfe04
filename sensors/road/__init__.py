"""Simulated traffic with exact boxes: a road with cars and pedestrians, seen by a fixed camera."""

from sensors.road.camera import RoadCamera, clip_events

__all__ = ["RoadCamera", "clip_events"]
