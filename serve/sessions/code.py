"""A session's key and word as bytes.

Keys are digests of tenant and session, so a name that says something of somebody says it to nobody who reads
the store; whoever knows both can tell whether it is there. Words hold an arm and two counts, and no time.
"""

from hashlib import blake2b
from typing import Final

from p402.ports import Warmth, Word

KEY_BYTES: Final = 16


def key_of(tenant: str, session: str) -> bytes:
    """Digest of both: two tenants never meet under one session id."""
    name = tenant.encode("utf-8", "surrogatepass")
    text = b"%d:%b:%b" % (len(name), name, session.encode("utf-8", "surrogatepass"))
    return blake2b(text, digest_size=KEY_BYTES, person=b"p402 session").digest()


def encode(warmth: Warmth) -> bytes:
    """What is left of a session; when that was, the store knows."""
    return b"%d %d %b" % (warmth.tokens, warmth.answers, warmth.arm.encode("utf-8", "surrogatepass"))


def decode(word: Word, asked_ms: int) -> Warmth | None:
    """What a word says to whoever asked at `asked_ms` by its own clock; None where it is none of ours."""
    tokens, _, rest = word.data.partition(b" ")
    answers, _, arm = rest.partition(b" ")
    if not (tokens.isdigit() and answers.isdigit() and arm):
        return None
    try:
        name = arm.decode("utf-8", "surrogatepass")
        return Warmth(name, int(tokens), asked_ms - word.age_ms, int(answers))
    except ValueError:  # no text; or more digits than a number may have
        return None
