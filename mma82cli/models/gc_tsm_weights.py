"""The names of GC-TSM's weights in files of others, brought to ours (torchvision's, with eft1 to eft4 for the gates).

torchvision   conv1.weight, layer1.0.bn1.weight, fc.weight                               as they are
GC-TSM, TSM   base_model.layer1.0.conv1[.net].weight, new_fc.weight                      (`module.` is off by now)
mmaction2     backbone.layer1.0.conv1.conv[.net].weight, …conv1.bn.weight, cls_head.fc_cls.weight
MANet         as mmaction2, with conv1.conv.fcce.0.weight for the squeeze, and parts its forward pass never uses
"""

from __future__ import annotations

import re

from torch import Tensor

HEAD = "fc."

_RULES = [(re.compile(pattern), replacement) for pattern, replacement in (
    (r"^(module\.)?(base_model\.|backbone\.)?", ""),
    (r"^(cls_head\.fc_cls|new_fc)\.", "fc."),
    (r"^conv1\.conv\.", "conv1."),
    (r"^conv1\.bn\.", "bn1."),
    (r"\.conv1\.conv\.fcce\.", ".fcce."),
    (r"\.(conv\d)\.conv\.", r".\1."),
    (r"\.conv(\d)\.bn\.", r".bn\1."),
    (r"\.downsample\.conv\.", ".downsample.0."),
    (r"\.downsample\.bn\.", ".downsample.1."),
    (r"\.conv1\.net\.", ".conv1."),
)]  # fmt: skip
_UNUSED = re.compile(r"\.action_p2_\w+\.|^cls_head\.fc_emb(_t)?\.")  # MANet: never called; the loss on label words


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under our names, in their order; those that MANet trains with and predicts without are left out."""
    return {_ours(key): value for key, value in state.items() if not _UNUSED.search(key)}


def _ours(key: str) -> str:
    for pattern, replacement in _RULES:
        key = pattern.sub(replacement, key)
    return key


def may_be_new(key: str) -> bool:
    """Gates and squeezes: an ImageNet ResNet has none."""
    return re.search(r"\.(eft\d|fcce)\.", key) is not None


def recognises(state: dict[str, Tensor]) -> bool:
    """Whether these are a ResNet of bottlenecks on RGB pictures, under any of the names."""
    state = renamed(state)
    stem, kernel = state.get("conv1.weight"), state.get("layer1.0.conv3.weight")
    if stem is None or kernel is None or "fc.weight" not in state:
        return False
    return stem.ndim == kernel.ndim == 4 and stem.shape[1] == 3
