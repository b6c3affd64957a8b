"""Placeholder until the guards come: only the same words in the same order agree."""


def disagreement(asked: str, kept: str) -> str | None:
    """None where both say the same word for word."""
    return None if asked.split() == kept.split() else "words"


def is_time_sensitive(text: str) -> bool:
    """Whether the answer depends on when it is asked."""
    return "today" in text.lower()
