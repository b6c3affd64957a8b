"""What a tenant may use: limits of the guard's layers that need state, and budgets within it, as values.

The laws that read them are in `p402.guard`. Money is whole nano-USD.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from p402.units import NANO_PER_USD

HOUR_US: Final = 3_600_000_000
MAX_PER_HOUR: Final = 1_000_000_000
"""Above it the microseconds between two requests would be rounded by a quarter or more."""

ANOMALY_Z: Final = 3.0
"""Standard deviations from which a call is out of line (promise P15)."""

ANOMALY_CALLS: Final = 30
"""Calls a history must have before it can raise an alarm; notebooks/anomaly_thresholds shows why."""


HOLD_STRICT: Final = "strict"
"""A hold is the most that a call may cost."""

HOLD_PREDICTED: Final = "p99.9"
"""Where a call names no output cap, a hold is what 999 of 1,000 such calls do not exceed."""

MAX_TTL_S: Final = 365 * 86_400
"""Longest that an answer may be given again, in seconds."""

LEAST_SIMILARITY: Final = 0.92
"""Cosine that a kept prompt has to exceed at least, whatever a tenant says (promise P11)."""


@dataclass(frozen=True, slots=True)
class CacheRules:
    """How a tenant's requests use the cache.

    Attributes
    ----------
    in_cost_mode
        Whether `cost` mode uses it where a request does not say.
    ttl_s
        How long an answer is given, where the request that made it did not say.
    similarity
        Cosine that a kept prompt has to exceed, in [`LEAST_SIMILARITY`, 1]; at 1 no two prompts are compared.
    """

    in_cost_mode: bool = True
    ttl_s: int = 86_400
    similarity: float = LEAST_SIMILARITY


USUAL_CACHE: Final = CacheRules()


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate of requests.

    Attributes
    ----------
    per_hour
        Requests gained an hour, 1 to `MAX_PER_HOUR`.
    burst
        Requests that an unused bucket holds, 1 or more.
    """

    per_hour: int
    burst: int

    @property
    def spacing_us(self) -> int:
        """Microseconds that one request costs, rounded up: never more than `per_hour` in an hour."""
        return -(-HOUR_US // self.per_hour)


DEFAULT_RATE: Final = Rate(1_000, 1_000)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one tenant; the defaults are those of promises P12 to P15.

    Attributes
    ----------
    daily_cap_nano
        Layers 2 and 6: most a UTC day may cost.
    rate
        Layer 1.
    max_in_flight
        Layer 3.
    anomaly_z
        Layer 4: standard deviations of ln(cost) from which a call is out of line.
    anomaly_calls
        Settled calls before which it is silent.
    block_anomalies
        Whether a call that is expected to be out of line is refused, and not only flagged.
    """

    daily_cap_nano: int = 1_000 * NANO_PER_USD
    rate: Rate = DEFAULT_RATE
    max_in_flight: int = 10
    anomaly_z: float = ANOMALY_Z
    anomaly_calls: int = ANOMALY_CALLS
    block_anomalies: bool = False


class Kind(StrEnum):
    """What a budget is of; the words are stored."""

    SESSION = "session"
    KEY = "key"
    POLICY = "policy"


class Period(StrEnum):
    """After what time an account begins anew; the letters are stored."""

    DAY = "d"
    MONTH = "m"
    LIFE = "l"


_SCOPE_NAME: Final = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class Scope:
    """One more budget that a call counts against.

    Attributes
    ----------
    name
        Up to 128 characters of ASCII that can be seen; unique among its tenant's of this kind.
    cap_nano
        Most that a period may cost.

    Raises
    ------
    ValueError
        The name is none: accounts are parted by white space.
    """

    kind: Kind
    name: str
    period: Period
    cap_nano: int

    def __post_init__(self) -> None:
        """Refuse a name that is none."""
        if _SCOPE_NAME.fullmatch(self.name) is None:
            raise ValueError(f"scope is called {self.name!r}; expected 1 to 128 visible ASCII characters")

    @property
    def stem(self) -> str:
        """What all its accounts begin with."""
        return f"{self.kind}:{self.name}/{self.period}"

    def account(self, day: int) -> str:
        """Account that a call of a UTC day counts in."""
        match self.period:
            case Period.DAY:
                return f"{self.stem}{day}"
            case Period.MONTH:
                return f"{self.stem}{month_of(day)}"
            case Period.LIFE:
                return self.stem


def month_of(day: int) -> int:
    """Months since the year 0, of a UTC day (days since 1970)."""
    when = date(1970, 1, 1) + timedelta(days=day)
    return 12 * when.year + when.month - 1
