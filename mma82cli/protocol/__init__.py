"""Protocols of the benchmark (Section IV): subject-exclusive splits, zero-shot and few-shot."""
