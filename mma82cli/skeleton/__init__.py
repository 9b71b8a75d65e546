"""Joints: their layouts and records, sampling in time, augmentation, and the heatmaps that PoseC3D reads.

`from mma82cli.skeleton import heatmaps` imports torch only then; layouts and records need numpy alone.
"""

_IN_GAUSSIAN = ("heatmaps", "limb_heatmaps", "HeatmapBuffer")


def __getattr__(name: str):
    if name in _IN_GAUSSIAN:
        from mma82cli.skeleton import gaussian

        return getattr(gaussian, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
