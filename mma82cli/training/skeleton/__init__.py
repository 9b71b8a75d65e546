"""Recognition from joints: clips in memory, their heatmaps, and the networks on them."""
