"""mma82: the MMA-82 micro-action benchmark as a suite of command-line tools."""

__version__ = "0.1.0"
