"""From frames of a video to what an RGB network reads: which frames, which part of the picture, which numbers."""
