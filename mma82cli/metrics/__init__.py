"""Every number of the benchmark: arrays in, numbers out."""
