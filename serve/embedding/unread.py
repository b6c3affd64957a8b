"""Why a text has no tokens that tell it from others."""

from enum import Enum, auto


class Unread(Enum):
    """Each is a reason not to compare a text with others."""

    EMPTY = auto()
    TOO_LONG = auto()
    UNKNOWN = auto()
    """A part of it is not in the vocabulary: emoji, rare signs, words of more than 100 characters."""
