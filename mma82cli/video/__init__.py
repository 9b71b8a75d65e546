"""Video files: the frames of a clip with their time stamps, all of them or a few, decoded in order on one thread a file."""

from mma82cli.video.clips import Clip, Frames, Source
from mma82cli.video.opening import Reader
from mma82cli.video.reader import Video

__all__ = ["Clip", "Frames", "Reader", "Source", "Video"]
