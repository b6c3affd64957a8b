"""Answers that may be given again: the law of the cache, without a clock, a disk or a model."""
