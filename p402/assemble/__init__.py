"""Settings, catalogue, benchmarks and published weights to one snapshot. See `whole`."""

from p402.assemble.policy import START_WEIGHTS
from p402.assemble.whole import Assembly, assemble

__all__ = ["START_WEIGHTS", "Assembly", "assemble"]
