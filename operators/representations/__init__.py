"""Events to arrays: one picture of each window of sensor time."""

from operators.representations.counts import Counts
from operators.representations.event_cube import EventCube
from operators.representations.last_event import LastEvent
from operators.representations.time_surface import TimeSurface
from operators.representations.voxel_grid import VoxelGrid

__all__ = ["Counts", "EventCube", "LastEvent", "TimeSurface", "VoxelGrid"]
