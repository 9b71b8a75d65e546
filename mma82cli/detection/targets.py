"""What a detector should say at every point of its pyramid: ActionFormer's assignment of actions to points.

An action belongs to a point that lies in it, near its middle (`RADIUS` strides), and whose level is for its size: the
farther boundary is within the level's range. Of several the shortest has the point; those as short share it.
Times are in moments (frames of the window).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 1.5  # strides from an action's middle
AS_SHORT = 1e-3  # moments


def assign(points: Tensor, segments: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """-> class targets (P, classes) of 0 and 1, distances to start and end in strides (P, 2), of no meaning where no class is.

    points    (P, 4) time, least and greatest distance of the level, stride (`models.actionformer.points`)
    segments  (N, 2) start and end; labels (N,) ids
    """
    if not len(segments):
        return points.new_zeros(len(points), classes), points.new_zeros(len(points), 2)
    at, least, most, stride = (column[:, None] for column in points.unbind(1))  # (P, 1)
    start, end = segments[:, 0], segments[:, 1]  # (N,)
    distances = torch.stack((at - start, end - at), 2)  # (P, N, 2)
    middle = (start + end) / 2
    near = torch.minimum(
        at - torch.maximum(middle - RADIUS * stride, start), torch.minimum(middle + RADIUS * stride, end) - at
    )
    farthest = distances.amax(2)
    fits = (near > 0) & (farthest >= least) & (farthest <= most)
    length = torch.where(fits, end - start, torch.inf)  # (P, N)
    shortest, which = length.min(1)
    owners = (length <= shortest[:, None] + AS_SHORT) & fits
    one_hot = F.one_hot(labels.long(), classes).to(points.dtype)
    found = (owners.to(points.dtype) @ one_hot).clamp(max=1)
    return found, distances[torch.arange(len(points), device=points.device), which] / stride
