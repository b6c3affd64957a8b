"""Every error the project raises, and refusals, which are values.

    P402Error
    +- RequestError            a client's mistake or misfortune; becomes an HTTP answer
    |  +- InvalidInput         400 INVALID_INPUT
    |  |  +- MissingField      400 MISSING_FIELD
    |  |  +- InvalidMode       400 INVALID_MODE
    |  +- TooLarge             413 INVALID_INPUT
    |  +- InvalidApiKey        401 invalid_api_key
    |  +- Forbidden            403 FORBIDDEN
    |  +- ModelNotFound        404 model_not_found
    |  +- NotFound             404 NOT_FOUND
    +- ConfigError             a setting or file the operator must mend
    +- StoreError              what lies on disk cannot be used
       +- CorruptComponent     its bytes do not have its name's hash
       +- MissingSnapshot      a row cites a snapshot that the store has not
       +- DiskFull             nothing was written
       +- StateAway            what hosts share cannot be asked now
       +- StaleWeights         other weights were published meanwhile

`serve.errors` is the one place that turns these into HTTP answers.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from heapq import nlargest
from typing import ClassVar, Final

_MANY: Final = 40
"""Words that are compared in full, at some 50 us each; of more, those that share most pairs of letters."""


class P402Error(Exception):
    """Root of the tree."""


class RequestError(P402Error):
    """A request that cannot be served as it stands."""

    code: ClassVar[str] = "INTERNAL_ERROR"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class InvalidInput(RequestError):
    """A field has the wrong type, range or name."""

    code = "INVALID_INPUT"
    status = 400


class MissingField(InvalidInput):
    """A required field is absent."""

    code = "MISSING_FIELD"


class InvalidMode(InvalidInput):
    """`p402.mode` is neither a known mode nor an object of weights."""

    code = "INVALID_MODE"


class TooLarge(RequestError):
    """The body is larger than the gateway reads."""

    code = "INVALID_INPUT"
    status = 413


class InvalidApiKey(RequestError):
    """The key is absent or unknown."""

    code = "invalid_api_key"
    status = 401


class Forbidden(RequestError):
    """The key may not do this."""

    code = "FORBIDDEN"
    status = 403


class ModelNotFound(RequestError):
    """The named model is in no configured provider's catalogue."""

    code = "model_not_found"
    status = 404


class NotFound(RequestError):
    """There is nothing at this path, or no such round."""

    code = "NOT_FOUND"
    status = 404


class ConfigError(P402Error):
    """A setting or a configuration file is wrong; the message says where and how to mend it."""


class StoreError(P402Error):
    """What lies on disk cannot be used."""


class CorruptComponent(StoreError):
    """A stored component's bytes do not hash to its name."""


class MissingSnapshot(StoreError):
    """A snapshot that a row cites is not in the store."""


class DiskFull(StoreError):
    """The disk took no more; nothing of this write is counted as done."""


class StateAway(StoreError):
    """What hosts share cannot be asked now; the operator has been told why, and its text may be shown."""


class StaleWeights(StoreError):
    """Weights were to replace a version that is no longer the one in force; nothing was published."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A normal outcome of admission or choice: the rule that said no, and what helps.

    Attributes
    ----------
    code
        The rule, as in WIRE.md's table (`DAILY_SPEND_LIMIT_EXCEEDED`, `NO_PROVIDER_AVAILABLE`, ...).
    status
        HTTP status of the answer.
    message
        What was seen, what was expected, what to do.
    retry_after_ms
        After how long a retry may succeed; None where waiting does not help.
    """

    code: str
    status: int
    message: str
    retry_after_ms: int | None = None
    param: str | None = None


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """Hint that names up to three known words close to `word`, or an empty string."""
    if len(known) > _MANY:
        pairs = {word[i : i + 2] for i in range(min(len(word), 64) - 1)}
        known = nlargest(_MANY, known, key=lambda name: sum(pair in name for pair in pairs))
    close = get_close_matches(word, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(f'`{c}`' for c in close)}?" if close else ""
