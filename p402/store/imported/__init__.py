"""Calls that other systems logged: read, priced and written into the log as rows without a propensity."""
