"""The gateway's embedder, loaded on the thread that it is to work on, or why there is none."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from serve.embedding.embedder import WAIT_MS, Embedder
from serve.embedding.parts import CAP, Absent, load


def make_embedder(
    *, cap: int = CAP, wait_ms: float = WAIT_MS, cpu_s: Callable[[], float] = time.thread_time
) -> Embedder | Absent:
    """Load what is installed; waits for it some 0.3 s, so before an event loop serves.

    Parameters
    ----------
    cap
        Tokens a text may have; embedders of another cap have another id.
    wait_ms
        The longest that a request waits.

    Raises
    ------
    ConfigError
        What is installed is not what it should be.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="p402-embedder")
    try:
        parts = thread.submit(load, cpu_s, cap).result()
    except BaseException:
        thread.shutdown(wait=False)
        raise
    if isinstance(parts, Absent):
        thread.shutdown(wait=False)
        return parts
    return Embedder(
        parts.id,
        parts.dims,
        parts.words,
        parts.model,
        thread,
        token_s=parts.token_s,
        wait_ms=wait_ms,
        cpu_s=cpu_s,
    )
