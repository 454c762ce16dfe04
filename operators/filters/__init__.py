"""Filters: events in, those events out that pass, each a kernel with explicit state under a thin operator."""

from operators.filters.background import Correlated, NearestNeighbour, RowsAndColumns
from operators.filters.flicker import AntiFlicker
from operators.filters.geometry import Flip, Rescale, Transpose, Undistort
from operators.filters.hot_pixels import HotPixels
from operators.filters.polarity import Polarity, invert
from operators.filters.rate_control import RateControl
from operators.filters.refractory import Refractory
from operators.filters.region import Region
from operators.filters.thin import Decimate, Drop
from operators.filters.trail import SpatioTemporalContrast, Trail

__all__ = [
    "AntiFlicker",
    "Correlated",
    "Decimate",
    "Drop",
    "Flip",
    "HotPixels",
    "NearestNeighbour",
    "Polarity",
    "RateControl",
    "Refractory",
    "Region",
    "Rescale",
    "RowsAndColumns",
    "SpatioTemporalContrast",
    "Trail",
    "Transpose",
    "Undistort",
    "invert",
]
