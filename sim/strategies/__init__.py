"""Strategies that choose arms and learn from what came of it: ours, baselines, and a user's own."""
