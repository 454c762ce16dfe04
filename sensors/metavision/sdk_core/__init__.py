"""Pictures and simple filters with the names of `metavision_sdk_core`."""

from sensors.metavision.sdk_core.filters import (
    FlipXAlgorithm,
    FlipYAlgorithm,
    PolarityFilterAlgorithm,
    PolarityInverterAlgorithm,
    RoiFilterAlgorithm,
    RoiMaskAlgorithm,
    TransposeEventsAlgorithm,
)
from sensors.metavision.sdk_core.frames import (
    BaseFrameGenerationAlgorithm,
    ColorPalette,
    OnDemandFrameGenerationAlgorithm,
    PeriodicFrameGenerationAlgorithm,
)

__all__ = [
    "BaseFrameGenerationAlgorithm",
    "ColorPalette",
    "FlipXAlgorithm",
    "FlipYAlgorithm",
    "OnDemandFrameGenerationAlgorithm",
    "PeriodicFrameGenerationAlgorithm",
    "PolarityFilterAlgorithm",
    "PolarityInverterAlgorithm",
    "RoiFilterAlgorithm",
    "RoiMaskAlgorithm",
    "TransposeEventsAlgorithm",
]
