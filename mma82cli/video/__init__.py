"""Video files: the frames of a clip with their time stamps, decoded once, in order, on one thread."""

from mma82cli.video.reader import Reader, Video

__all__ = ["Reader", "Video"]
