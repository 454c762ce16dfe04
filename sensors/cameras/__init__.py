"""Cameras, video files and network streams as sources: one module each, its library imported when it is opened."""

from sensors.cameras.dv_network import DvStream
from sensors.cameras.inivation import DvCamera
from sensors.cameras.metavision import MetavisionCamera
from sensors.cameras.neuromorphic import NeuromorphicCamera
from sensors.cameras.udp import UdpEvents
from sensors.cameras.video import Video
from sensors.cameras.webcam import Webcam

__all__ = ["DvCamera", "DvStream", "MetavisionCamera", "NeuromorphicCamera", "UdpEvents", "Video", "Webcam"]
