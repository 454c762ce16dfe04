"""Recorded human motion: readers of motion files, and simulated people who do those motions before a camera."""

from sensors.motion.camera import MotionCamera, clip_events

__all__ = ["MotionCamera", "clip_events"]
