"""What is told, and to whom, of a call to the cache's Redis that failed."""

import asyncio
import logging

from serve.errors import report
from serve.redis.calls import RedisAway, RedisRefused
from serve.sessions.trouble import Trouble

log = logging.getLogger("p402.cache")


def note_failure(trouble: Trouble, error: Exception, consequence: str) -> None:
    """Count a failure; of several in a row the operator is told, once."""
    if not isinstance(error, RedisAway | RedisRefused | TimeoutError):
        report(error, "cache")
    if trouble.note_failure(asyncio.get_running_loop().time()):
        why = str(error) or "Redis did not answer in time"
        log.error("the cache of all hosts: %s; until that is mended %s", why, consequence)


def note_success(trouble: Trouble, consequence: str) -> None:
    """A call succeeded; where there was trouble, the operator is told that it is over."""
    if trouble.note_success():
        log.warning("the cache of all hosts: %s again", consequence)
