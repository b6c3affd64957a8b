"""Bytes from a client to typed requests: 400 here, nowhere later."""

from serve.wire.chat import parse_chat
from serve.wire.json import MAX_BODY_BYTES
from serve.wire.outcome import parse_outcome

__all__ = ["MAX_BODY_BYTES", "parse_chat", "parse_outcome"]
