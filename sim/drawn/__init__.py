"""Logs that our own policy draws from real full-information tables: the public benchmark for OPE."""
