"""When what was observed should not be believed, or not yet: codes with what was seen and what is expected.

It knows nothing of how the figures came about.
"""

from typing import Final

from sim.observe.rounds import Census
from sim.observe.saving import Saving

MIN_ROUNDS: Final = 200
MIN_SESSIONS: Final = 30
"""Fewer independent units, and an error that is clustered by them is itself not known."""

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000

MAX_EXCLUDED: Final = 0.05
MAX_ESTIMATED: Final = 0.1
MAX_CACHED: Final = 0.1
MAX_ASSUMED: Final = 0.5
MAX_UNSCORED: Final = 0.5
"""Shares above which a thing is said."""

LEAST_ELSEWHERE: Final = 0.01
"""Share of what was paid below which lengths of other models' answers move nothing."""


def of_log(counted: Census) -> tuple[str, ...]:
    """What speaks against every figure."""
    found = []
    if counted.valued < MIN_ROUNDS:
        found.append(f"few_rounds: {counted.valued:,} valued; expected at least {MIN_ROUNDS}")
    if counted.sessions < MIN_SESSIONS:
        found.append(
            f"few_sessions: {counted.sessions:,}; expected at least {MIN_SESSIONS}: rounds of one session "
            "are alike, so bounds are too narrow"
        )
    if counted.last_ms - counted.first_ms < DAY_MS:
        hours = (counted.last_ms - counted.first_ms) / HOUR_MS
        found.append(f"short_window: {hours:.1f} hours; expected a day at least: traffic has a daily shape")
    excluded = sum(counted.excluded.values())
    if excluded > MAX_EXCLUDED * (excluded + counted.valued):
        told = ", ".join(f"{count:,} {why}" for why, count in counted.excluded.items())
        found.append(
            f"excluded: {told} of {excluded + counted.valued:,} rounds are in no figure; expected at most "
            f"{MAX_EXCLUDED:.0%}"
        )
    if unpriced := counted.excluded.get("unpriced", 0):
        found.append(
            f"price_unknown: {unpriced:,} rounds; expected none: give the model a price in p402.toml"
        )
    if counted.estimated > MAX_ESTIMATED * counted.valued:
        found.append(
            f"usage_estimated: tokens of {counted.estimated:,} rounds were told by no provider; expected at "
            f"most {MAX_ESTIMATED:.0%}"
        )
    if counted.cached_tokens > MAX_CACHED * counted.prompt_tokens:
        share = counted.cached_tokens / counted.prompt_tokens
        found.append(
            f"prompt_cache: {share:.0%} of the prompt tokens were read from the named model's cache, and as "
            "many are taken to be cached elsewhere; see saving_uncached_usd (--json)"
        )
    if counted.simulated:
        found.append(f"simulated: {counted.simulated:,} rounds were answered by simulated providers")
    return tuple(found)


def of_mode(value: Saving, scored: float) -> tuple[str, ...]:
    """What speaks against one mode's figures; `scored` is the share whose qualities come from benchmarks."""
    found = []
    if value.lower <= 0.0 <= value.upper and value.saving != 0.0:
        found.append("may_cost_more: the bounds of the saving hold 0")
    if value.assumed > MAX_ASSUMED and value.elsewhere > LEAST_ELSEWHERE * value.paid:
        found.append(
            f"assumed_lengths: for {value.assumed:.0%} of the output at other models nobody has measured how "
            "long their answers are: taken as long as the named model's, and bounds are wide; send some "
            "requests there"
        )
    if 1.0 - scored > MAX_UNSCORED:
        found.append(
            f"quality_prior: for {1.0 - scored:.0%} of the requests a quality rests on a prior and on no "
            "benchmark; set server.benchmarks"
        )
    return tuple(found)
