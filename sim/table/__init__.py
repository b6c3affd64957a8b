"""Replay with full information: tables that hold every arm's measured outcome."""
