"""One partition tried, on whichever process it came to, and what is sent back."""

import pickle
import traceback
from typing import Any

from sim.spread.contract import Done, Event, Function, Raised


def tried(function: Function, index: int, partition: Any) -> Event:
    """The result, or the error in a form that can be sent."""
    try:
        return Done(index, function(partition))
    except Exception as error:  # noqa: BLE001 - the caller raises it
        error.add_note("on another process:\n" + traceback.format_exc())
        return Raised(index, _sendable(error))


def _sendable(error: Exception) -> Exception:
    """The error, or its words where it cannot be pickled and read again."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made on this line
    except Exception:  # noqa: BLE001 - whatever its classes do
        return RuntimeError(f"{type(error).__name__}: {error}\n" + "".join(error.__notes__))
    return error
