"""Where one server-sent event ends and the next begins, however the bytes were cut.

An incremental parser on bytes by the WHATWG rules: CR, LF and CRLF; comments; `data:` with and
without a space; several data lines; an unfinished last event is dropped. It never raises and holds
at most `max_event` bytes. The common form, one `data: ` line, is handed on as the bytes it came in, and
a chunk that is exactly one such event, as most are, as it is.
It knows nothing of JSON or of what events mean.

Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream" (read 2026-11-22).
"""

from typing import NamedTuple

MAX_EVENT = 8 << 20
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event. `wire` is its canonical form: `data: ` lines, LF, a blank line."""

    data: bytes
    wire: bytes
    kind: bytes = b"message"


class SseParser:
    """Bytes in, whole events out.

    Parameters
    ----------
    max_event
        Bytes of one event; a larger one is dropped and counted in `dropped`.
    """

    __slots__ = ("_buffer", "_discarding", "_max_event", "_scanned", "_skip_lf", "_started", "dropped")

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._max_event = max_event
        self._buffer = bytearray()
        self._scanned = 0  # how far the buffer is known to hold no blank line
        self._skip_lf = False
        self._started = False
        self._discarding = False
        self.dropped = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Events that end within `chunk`."""
        line, _, rest = chunk.partition(b"\n")
        if rest == b"\n" and line.startswith(b"data: ") and self._may_pass(line):
            self._started = True
            return [Event(line[6:], chunk)]
        chunk = self._with_lf_only(chunk)
        if not chunk:
            return []
        events: list[Event] = []
        for block in self._blocks(chunk):
            self._block(block, events)
        if self._buffer:
            self._bound()
        return events

    def _blocks(self, chunk: bytes) -> list[bytes]:
        """What stands before blank lines that end within `chunk`; what follows the last is kept."""
        buffer = self._buffer
        if self._started and not buffer:
            blocks = chunk.split(b"\n\n")
            buffer += blocks.pop()
            self._scanned = max(0, len(buffer) - 1)
            return blocks
        buffer += chunk
        if not self._started and not self._skip_bom():
            return []
        blocks = []
        start = 0
        while (end := buffer.find(b"\n\n", max(start, self._scanned))) >= 0:
            blocks.append(bytes(buffer[start:end]))
            start = end + 2
            self._scanned = start
        del buffer[:start]
        self._scanned = max(0, len(buffer) - 1)
        return blocks

    def _may_pass(self, line: bytes) -> bool:
        """Whether nothing is pending, so that a chunk of this line and a blank one is an event as it is."""
        return not (
            self._buffer or self._skip_lf or self._discarding or b"\r" in line or len(line) > self._max_event
        )

    def _with_lf_only(self, chunk: bytes) -> bytes:
        if self._skip_lf and chunk:
            self._skip_lf = False
            if chunk[0] == 0x0A:
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._skip_lf = chunk[-1] == 0x0D
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _skip_bom(self) -> bool:
        """Drop a byte order mark; False while it cannot be told yet."""
        buffer = self._buffer
        if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
            return False
        if buffer.startswith(_BOM):
            del buffer[: len(_BOM)]
        self._started = True
        return True

    def _block(self, block: bytes, events: list[Event]) -> None:
        if self._discarding:
            self._discarding = False
            return
        if block[:1] == b"\n":
            block = block.lstrip(b"\n")
        if len(block) > self._max_event:
            self.dropped += 1
        elif block.startswith(b"data: ") and b"\n" not in block:
            events.append(Event(block[6:], block + b"\n\n"))
        elif (event := _interpret(block)) is not None:
            events.append(event)

    def _bound(self) -> None:
        buffer = self._buffer
        if not self._discarding:
            blank = 0
            while blank < len(buffer) and buffer[blank] == 0x0A:
                blank += 1
            # A trailing LF may be half of the blank line that ends the event.
            size = len(buffer) - blank - (1 if buffer.endswith(b"\n") and len(buffer) > blank else 0)
            if size > self._max_event:
                self._discarding = True
                self.dropped += 1
        if self._discarding:
            del buffer[:-1]
            self._scanned = 0


def _interpret(block: bytes) -> Event | None:
    kind = b"message"
    data: list[bytes] = []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value or b"message"
    if not data:
        return None
    wire = b"".join(b"data: %s\n" % line for line in data) + b"\n"
    return Event(b"\n".join(data), wire, kind)
