"""Strategies on the same simulated traffic, compared with paired intervals."""
