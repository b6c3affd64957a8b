"""A function over partitions, on one process or many, to the same bits."""
