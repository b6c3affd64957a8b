"""Where one frame of AWS' event stream ends and the next begins, however the bytes were cut.

botocore's parser, which checks both checksums of a frame, behind the port of `serve.upstream.translation`.
An event's kind is its `:event-type`; of an exception or an error, its name behind an exclamation mark. It
never raises: what is no frame is counted in `dropped`, and nothing is read after it.

botocore is imported when the first of these is made: only where Bedrock is configured.

Source: Amazon Event Stream Encoding, Smithy 2.0 (read 2026-11-26).
"""

import struct
from typing import Any, Final

import orjson

from serve.upstream.sse import MAX_EVENT, Event

_LEAST: Final = 16
"""Bytes of an empty frame; botocore takes less for one."""
FAULT: Final = b"!"
"""Before the name of what went wrong."""


class AwsFrames:
    """Bytes in, whole frames out.

    Parameters
    ----------
    max_event
        Bytes of one frame; a larger one is dropped.
    """

    __slots__ = ("_broken", "_buffer", "_max_event", "_pending", "dropped")

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        from botocore.eventstream import EventStreamBuffer, ParserError  # noqa: PLC0415

        self._buffer: Any = EventStreamBuffer()
        # What its parser raises of bytes that are no frame, its own errors and Python's.
        self._broken = (ParserError, struct.error, ValueError, KeyError, IndexError, TypeError)
        self._max_event = max_event
        self._pending = 0
        self.dropped = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Frames that end within `chunk`."""
        if self.dropped:
            return []
        self._buffer.add_data(chunk)
        self._pending += len(chunk)
        events: list[Event] = []
        try:
            for message in self._buffer:
                size = message.prelude.total_length
                if not _LEAST <= size <= self._max_event:
                    self.dropped += 1
                    return events
                self._pending -= size
                events.append(_event(message.headers, message.payload))
        except self._broken:
            self.dropped += 1
        if self._pending > self._max_event:
            self.dropped += 1
        return events


def _event(headers: dict[str, Any], payload: bytes) -> Event:
    match headers.get(":message-type"):
        case "exception":
            return Event(payload, b"", FAULT + str(headers.get(":exception-type")).encode())
        case "error":
            said = orjson.dumps({"message": str(headers.get(":error-message", ""))})
            return Event(said, b"", FAULT + str(headers.get(":error-code")).encode())
        case _:
            return Event(payload, b"", str(headers.get(":event-type")).encode())
