"""Reading recordings with the names of `metavision_core.event_io`."""

from sensors.metavision.event_io.dat_tools import DatWriter, count_events, load_events
from sensors.metavision.event_io.events_iterator import EventsIterator
from sensors.metavision.event_io.live_replay import LiveReplayEventsIterator, is_live_camera
from sensors.metavision.event_io.py_reader import EventDatReader, EventNpyReader, HDF5EventsReader
from sensors.metavision.event_io.raw_reader import RawReader, RawReaderBase, get_raw_info, initiate_device

__all__ = [
    "DatWriter",
    "EventDatReader",
    "EventNpyReader",
    "EventsIterator",
    "HDF5EventsReader",
    "LiveReplayEventsIterator",
    "RawReader",
    "RawReaderBase",
    "count_events",
    "get_raw_info",
    "initiate_device",
    "is_live_camera",
    "load_events",
]
