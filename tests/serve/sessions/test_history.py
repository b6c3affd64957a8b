"""Whatever workers note, ask and suffer, each hears the last word of all that is not too old, or nothing."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from p402.ports import Warmth
from serve.sessions.file import FileShelf
from serve.sessions.shared import SharedSessions
from sim.memory import MemorySessions
from tests.conformance.sessions import HandTime, what
from tests.serve.redis.cluster_server import ask
from tests.serve.redis.server import Server
from tests.serve.sessions.test_hands import PATIENT_S, RealTime, redis_shelf

WORKERS = 3
KEPT_MS = 1_000
ROWS = 4
workers = st.integers(0, WORKERS - 1)
sessions = st.sampled_from([("t", "s"), ("t", "s2"), ("u", "s"), ("ts", ""), ("t", "auto_x"), ("u", "x")])


class History(RuleBasedStateMachine):
    """Workers on one store, against a dictionary; hands and their time are a subclass's."""

    rows: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.dead: list = []
        self.left: dict[tuple[str, str], tuple[int, Warmth]] = {}

    def do(self, work: Awaitable):
        return self.loop.run_until_complete(work)

    def make(self):
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.hands = [self.make() for _ in range(WORKERS)]

    @rule(worker=workers, of=sessions, arm=st.sampled_from(["a/one", "b/two"]), answers=st.integers(0, 9))
    def note(self, worker, of, arm, answers) -> None:
        word = Warmth(arm, 100 * answers, -1, answers)
        at_ms = self.now()
        self.do(self.noted(self.hands[worker], of, word))
        self.left.pop(of, None)
        self.left[of] = at_ms, word
        if self.rows is not None:
            fresh = {of: left for of, left in self.left.items() if at_ms - left[0] <= KEPT_MS}
            self.left = dict(list(fresh.items())[-self.rows :])

    @rule(worker=workers, of=sessions)
    def recall(self, worker, of) -> None:
        found = self.do(self.hands[worker].recall(*of, 0))
        at_ms, word = self.left.get(of, (0, None))
        self.judge(found, at_ms, word)

    @rule(worker=workers)
    def die(self, worker) -> None:
        """A worker is killed, and another begins; what it was told was left."""
        self.dead.append(self.hands[worker])
        self.hands[worker] = self.make()

    @rule(worker=workers)
    def end(self, worker) -> None:
        self.do(self.hands[worker].close())
        self.hands[worker] = self.make()

    async def noted(self, hand, of, word) -> None:
        hand.note(*of, word)
        await hand.settled()

    def now(self) -> int:
        raise NotImplementedError

    def judge(self, found, at_ms, word) -> None:
        if word is None or not 0 <= self.now() - at_ms <= KEPT_MS:
            assert found is None
        else:
            assert what(found) == what(word)
            assert found.at_ms == at_ms

    @invariant()
    def no_task_is_left(self) -> None:
        assert not asyncio.all_tasks(self.loop)

    def teardown(self) -> None:
        for hand in [*self.dead, *getattr(self, "hands", [])]:
            self.do(hand.close())
        self.loop.close()


class ByHand(History):
    """On a time that is set; no two notes are of one moment."""

    def __init__(self) -> None:
        super().__init__()
        self.time = HandTime()

    async def noted(self, hand, of, word) -> None:
        await super().noted(hand, of, word)
        self.time.ms += 1

    def now(self) -> int:
        return self.time.ms

    @precondition(lambda self: self.left)
    @rule(ms=st.sampled_from([1, 10, KEPT_MS // 2, KEPT_MS, KEPT_MS + 1]))
    def elapse(self, ms) -> None:
        self.time.ms += ms


class InMemory(ByHand):
    def __init__(self) -> None:
        super().__init__()
        self.store = MemorySessions(self.time.now_ms, KEPT_MS)

    def make(self):
        return self.store

    async def noted(self, hand, of, word) -> None:
        hand.note(*of, word)
        self.time.ms += 1


class InAFile(ByHand):
    """Few rows have room: the oldest are forgotten."""

    rows = ROWS

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()

    def make(self):
        path = Path(self.folder.name) / "x.db"
        shelf = FileShelf(path, self.time.now_ms, kept_ms=KEPT_MS, rows=ROWS)
        return SharedSessions(shelf, self.time.now_ms, bound_s=PATIENT_S)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


class InRedis(History):
    """On Redis' own time, which is told but to the workers' milliseconds: nothing gets old."""

    def __init__(self, server) -> None:
        super().__init__()
        self.server = server
        self.time = RealTime()
        ask(server, "FLUSHALL")

    def make(self):
        return SharedSessions(redis_shelf(self.server.url), self.time.now_ms, bound_s=PATIENT_S)

    def now(self) -> int:
        return 0

    def judge(self, found, at_ms, word) -> None:
        assert what(found) == what(word)


FEW = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestInMemory = InMemory.TestCase
TestInMemory.settings = FEW
TestInAFile = InAFile.TestCase
TestInAFile.settings = FEW


def test_history_in_redis(redis: Server):
    fewer = settings(max_examples=20, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(lambda: InRedis(redis), settings=fewer)
