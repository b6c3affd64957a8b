"""Whether intervals that are printed without a warning hold the truth: `make bench-ope`."""
