"""AdaTAD's backbone as a reader of the paper would write it first: every window filled up with its last frame, all of its
clips through all blocks, positions resized and tokens turned round wherever the formulas say so."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def features(backbone, frames: Tensor) -> Tensor:
    """Whole windows (B, 3, T, H, W), normalised -> (B, dim, T), with the weights of our `backbone`."""
    batch, _, length = frames.shape[:3]
    clips = frames.reshape(batch, 3, length // 16, 16, *frames.shape[3:]).transpose(1, 2).flatten(0, 1)
    x = F.conv3d(clips, backbone.patch_embed.proj.weight, backbone.patch_embed.proj.bias, stride=(2, 16, 16))
    _, dim, slices, h, w = x.shape
    x = x.flatten(2).transpose(1, 2) + backbone.positions(slices, h, w)
    for block in backbone.blocks:
        x = x + attention(block.attn, block.norm1(x))
        x = x + block.mlp(block.norm2(x))
        x = adapter(block.adapter, x, batch, h, w)
    x = x.transpose(1, 2).reshape(batch, -1, dim, slices, h, w).permute(0, 2, 1, 3, 4, 5).flatten(2, 3)
    return F.interpolate(x.mean((3, 4)), size=length, mode="linear", align_corners=False)


def attention(layer, x: Tensor) -> Tensor:
    """(N, tokens, dim) -> the same."""
    n, tokens, dim = x.shape
    bias = torch.cat((layer.q_bias, torch.zeros_like(layer.v_bias), layer.v_bias))
    qkv = F.linear(x, layer.qkv.weight, bias).reshape(n, tokens, 3, layer.heads, -1).permute(2, 0, 3, 1, 4)
    x = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
    return layer.proj(x.transpose(1, 2).reshape(n, tokens, dim))


def adapter(layer, x: Tensor, batch: int, h: int, w: int) -> Tensor:
    """(B * clips, slices * h * w, dim) -> the same; the convolution goes over the whole window."""
    a = F.gelu(layer.down_proj(x))
    width = a.shape[2]
    over_time = a.reshape(batch, -1, h, w, width).permute(0, 2, 3, 4, 1).flatten(0, 2)  # (B*h*w, width, T/2)
    over_time = layer.conv(layer.dwconv(over_time))
    back = over_time.reshape(batch, h, w, width, -1).permute(0, 4, 1, 2, 3).reshape(a.shape)
    return x + layer.gamma * layer.up_proj(a + back)
