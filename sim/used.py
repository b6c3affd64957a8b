"""How much memory this process has used, for commands that say so."""

import resource
import sys
from typing import Final

RSS_PER_MIB: Final = 1 << 20 if sys.platform == "darwin" else 1 << 10
"""Units of `ru_maxrss`: bytes on macOS, KiB elsewhere."""


def peak_mib() -> float:
    """Most memory that this process has held at once, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / RSS_PER_MIB
