"""Providers that do not exist, with answers whose worth, cost and length are real."""
