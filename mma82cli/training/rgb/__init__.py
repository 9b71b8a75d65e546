"""Recognition from the pictures of a clip: frames, batches, and the networks on them."""
