"""A gateway's traffic, providers and feedback that never were, played by the real flow on virtual time."""
