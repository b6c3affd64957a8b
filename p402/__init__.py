"""The core: values, the decision, the laws of guarding, learning and judging; the log; the registry."""

__version__ = "0.1.0"
