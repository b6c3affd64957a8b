"""Whether one call may cost what it may cost.

Guard layer 5 (promise P16) and a request's own `max_cost`: pure arithmetic on the upper bound of
the call's cost, so it holds whatever state any store is in. It fails closed: a cost that is not
known is refused. Money is whole nano-USD.
"""

from p402.errors import Refusal
from p402.units import NANO_PER_USD, nano_to_usd

DEFAULT_CEILING_NANO = 50 * NANO_PER_USD


def refuse_single(
    upper_nano: int | None,
    ceiling_nano: int = DEFAULT_CEILING_NANO,
    max_cost_nano: int | None = None,
) -> Refusal | None:
    """Refusal of a call whose upper bound passes a ceiling, or None where it may go on.

    Parameters
    ----------
    upper_nano
        The most the call may cost; None where a price or a limit is unknown.
    ceiling_nano
        Layer 5's ceiling for the tenant; a cost equal to it passes.
    max_cost_nano
        The request's own ceiling, which only lowers layer 5's.
    """
    if upper_nano is None:
        return Refusal(
            "REQUEST_COST_EXCEEDED",
            402,
            "the most this call may cost is unknown, so it cannot be held under the single-request "
            "ceiling; name a model with known prices and limits",
        )
    own = max_cost_nano is not None and max_cost_nano < ceiling_nano
    limit = max_cost_nano if own and max_cost_nano is not None else ceiling_nano
    if upper_nano <= limit:
        return None
    rule, advice = (
        ("`p402.max_cost`", "raise it, lower max_tokens or allow a cheaper model")
        if own
        else ("the single-request ceiling", "lower max_tokens or allow a cheaper model")
    )
    return Refusal(
        "REQUEST_COST_EXCEEDED",
        402,
        f"this call may cost up to ${nano_to_usd(upper_nano):.6f}; "
        f"expected at most ${nano_to_usd(limit):.6f} by {rule}; {advice}",
        param="p402.max_cost" if own else None,
    )
