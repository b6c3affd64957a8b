"""Entries, prompts and vectors as bytes, and what a tenant's keys are called.

Names are digests: who reads the keys learns no tenant and no prompt. What is kept under them are prompts and
answers as they are, which is what a cache is; it says so in the README.
"""

from hashlib import blake2b
from typing import Final

import msgspec
import numpy as np

from p402.cache.contract import Entry, Vector

TAG_BYTES: Final = 16
EMBEDDER_BYTES: Final = 8


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    """An entry's fields in their order, its names as bytes: not every name is sound UTF-8."""

    id: bytes
    arm: bytes
    task: bytes
    body: bytes
    prompt: int
    output: int
    cached: int
    cache_write: int
    cache_write_1h: int
    reasoning: int
    estimated: bool
    made_ms: int
    expires_ms: int


_decoder: Final = msgspec.msgpack.Decoder(_Packed)


def pack(entry: Entry) -> bytes:
    """An entry as bytes."""
    name, arm, task, *rest = msgspec.structs.astuple(entry)
    return msgspec.msgpack.encode([as_bytes(name), as_bytes(arm), as_bytes(task), *rest])


def unpack(data: bytes) -> Entry:
    """An entry of its bytes.

    Raises
    ------
    ValueError
        They are none of ours.
    """
    name, arm, task, *rest = msgspec.structs.astuple(_decoder.decode(data))
    return Entry(as_text(name), as_text(arm), as_text(task), *rest)


def vector_bytes(vector: Vector) -> bytes:
    """Its numbers of four bytes each: what all workers compare is the same to the last bit."""
    return vector.astype("<f4").tobytes()


def vector_of(data: bytes) -> Vector | None:
    """A vector of its bytes; None where they are none."""
    return np.frombuffer(data, "<f4").astype(np.float32) if data and not len(data) % 4 else None


def as_bytes(text: str) -> bytes:
    """Text as it is, lone surrogates too."""
    return text.encode("utf-8", "surrogatepass")


def as_text(data: bytes) -> str:
    """Text of `as_bytes`; raises ValueError where it is none."""
    return data.decode("utf-8", "surrogatepass")


def prefix_of(tenant: str) -> str:
    """What all keys of a tenant begin with; in braces, its hash tag."""
    digest = blake2b(as_bytes(tenant), digest_size=TAG_BYTES, person=b"p402 cache").hexdigest()
    return f"p402:cache:{{{digest}}}:"


def index_of(scope: bytes, embedder: str) -> str:
    """Name of the prompts of a scope that one embedder has vectors of, behind the tenant's prefix."""
    model = blake2b(as_bytes(embedder), digest_size=EMBEDDER_BYTES, person=b"p402 embedder").hexdigest()
    return f"s:{scope.hex()}:{model}"
