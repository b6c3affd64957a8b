"""One exchange of words between workers: what this one saw, for what the others did.

Whoever owns the time calls it once a second. What comes of it changes no decision until the flow has logged
it as a delta of this worker's own, so a replay needs nothing of the other workers.
"""

from collections.abc import Awaitable, Callable

from p402.flow.state import WorkerState
from p402.ports import Board
from p402.routing.peers import MAX_WORDS, Gathering, decode, encode


async def exchange(
    state: WorkerState, board: Board, now_ms: Callable[[], int], pause: Callable[[], Awaitable[None]]
) -> int:
    """Tell and hear; gives how many others were heard.

    Parameters
    ----------
    pause
        Awaited between words: a word takes a fifth of a millisecond at most, all of 64 workers take twelve.

    Raises
    ------
    p402.errors.StoreError
        The board is away: nothing was heard. What was heard before counts until it is old.
    """
    told = encode(state.health.told(now_ms()))
    words = await board.exchange(state.worker, told)
    heard_ms, understood = now_ms(), 0
    gathering = Gathering(heard_ms, state.snapshot.index)
    for word in words[:MAX_WORDS]:
        content = decode(word.data)
        if content is not None:
            gathering.take(word.age_ms, content)
            understood += 1
            await pause()
    state.health.hear(gathering.heard(), heard_ms)
    return understood
