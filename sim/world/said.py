"""What was said in conversations under way, so that a usual follow-up carries what it follows.

The answers in it are those that were really given, each in words of its own: two conversations are equal only
where all their answers were given again from the cache. It keeps those that go on, and no other.
"""

from typing import Any

from sim.world.traffic import Asked

Message = dict[str, Any]

NOT_YET = "..."
"""Stands for an answer that had not come when the next turn was asked, or never came."""


class Conversations:
    """Conversations that began with a common question and go on."""

    def __init__(self) -> None:
        self._said: dict[int, list[tuple[str, str]]] = {}

    def messages(self, asked: Asked) -> list[Message]:
        """A turn's messages: all turns before it with their answers, and its own."""
        made: list[Message] = []
        for words, answer in self._said.get(asked.session.number, ()):
            made += [{"role": "user", "content": words}, {"role": "assistant", "content": answer}]
        return [*made, *asked.request.body["messages"]]

    def begin(self, asked: Asked) -> None:
        """Take note of a turn that is asked; the last one ends its conversation."""
        number, words = asked.session.number, asked.request.transcript.last_user
        if asked.turn + 1 >= asked.session.turns:
            self._said.pop(number, None)
        else:
            own = words if asked.question is not None else f"{words} #{asked.name}"
            self._said.setdefault(number, []).append((own, NOT_YET))

    def answered(self, asked: Asked, words: str) -> None:
        """Take note of a turn's answer, where the conversation still goes on."""
        said = self._said.get(asked.session.number)
        if said is not None and asked.turn < len(said):
            said[asked.turn] = said[asked.turn][0], words

    def __len__(self) -> int:
        """How many go on."""
        return len(self._said)
