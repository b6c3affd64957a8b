"""Real time and real chance: the gateway's `Clock`."""

import os
import time


class SystemClock:
    """The operating system's clocks and its random source."""

    def now_ms(self) -> int:
        """Wall time in ms since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        """Monotonic time in ms."""
        return time.perf_counter_ns() / 1_000_000

    def random_bits(self) -> int:
        """80 random bits."""
        return int.from_bytes(os.urandom(10))
