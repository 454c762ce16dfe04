"""The Python interface of Metavision (OpenEB) on evpipe's readers: scripts written for it run on any recording.

`sensors.metavision.event_io`, `.sdk_base`, `.sdk_core` and `.sdk_ui` stand for `metavision_core.event_io`,
`metavision_sdk_base` and so on; names of the first two are here as well. With EVPIPE_METAVISION=openeb in the
environment at the first import all of these are OpenEB's own. See docs/metavision.md.
"""

from sensors.metavision import openeb

openeb.resolve()

from sensors.metavision.event_io import (  # noqa: E402 (what stands under this name was settled above)
    DatWriter,
    EventDatReader,
    EventNpyReader,
    EventsIterator,
    LiveReplayEventsIterator,
    RawReader,
    count_events,
    get_raw_info,
    is_live_camera,
    load_events,
)
from sensors.metavision.event_io.raw_reader import RawReaderBase, initiate_device  # noqa: E402
from sensors.metavision.sdk_base import EventCD, EventExtTrigger  # noqa: E402

__all__ = [
    "DatWriter",
    "EventCD",
    "EventDatReader",
    "EventExtTrigger",
    "EventNpyReader",
    "EventsIterator",
    "LiveReplayEventsIterator",
    "RawReader",
    "RawReaderBase",
    "count_events",
    "get_raw_info",
    "initiate_device",
    "is_live_camera",
    "load_events",
]
