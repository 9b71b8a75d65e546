"""Detection in untrimmed video: windows of films, batches without padding, and the detector on them."""
