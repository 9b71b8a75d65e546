"""Pose estimation: a person's joints in the frames of a clip.

`builder.build_estimator` makes the one thing that matters, an `estimator.Estimator` with
`infer(frames, boxes) -> keypoints (T,V,3)`; an `extract.Extractor` turns a clip of a video into a record's fields.
"""
