"""A gateway's traffic, providers and feedback that never were, played by the real flow on virtual time."""

from sim.world.play import run
from sim.world.preset import presets
from sim.world.spec import WorldSpec

__all__ = ["WorldSpec", "presets", "run"]
