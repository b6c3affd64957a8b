"""Loaders of real data, each with its source, licence and the way it was made."""
