"""Random histories of two workers: whatever happened, their log replays bit for bit, and nothing stays taken.

Requests at once and cancelled, failures of an arm, of a provider, of a client, breaks, clocks that go
back, snapshots with other arms, and words of peers; each history is known by its seed.
"""

import asyncio
import random
from dataclasses import dataclass

import pytest

from p402.flow.peers import exchange
from p402.ports import Completion, Failure, Usage
from sim.memory import MemoryBoard
from sim.replay.verify import verify
from tests.sim.house import PROVIDERS, Answered, House, a_spec, a_tenant

SEEDS = range(12)
ROUNDS = 40
MODES = ("cost", "quality", "speed", "balanced", None)


def quiet(_done, _total):
    """No progress is shown."""


@dataclass
class Breaks(Answered):
    """A stream that fails, or hangs, after its first event."""

    failure: Failure | None = None
    hangs: bool = False

    async def __aiter__(self):
        yield b'data: {"choices": []}\n\n'
        await asyncio.sleep(3_600 if self.hangs else 0)


class Moody:
    """Providers whose faults change from round to round."""

    def __init__(self, rng, clock):
        self.rng, self.clock, self.bad = rng, clock, {}

    def turn(self):
        self.bad = {p: self.rng.choice((0, 0, 0.3, 1)) for p in PROVIDERS}

    def heal(self):
        self.bad = {}

    def _fault(self):
        kind = self.rng.randrange(5)
        if kind == 0:
            return Failure("INVALID_INPUT", 400, "yours", fail_over=False, counts=False)
        return Failure(
            "PROVIDER_ERROR",
            502,
            "broke",
            fail_over=kind != 1,
            counts=kind != 2,
            of_provider=kind == 3,
            retry_after_ms=self.rng.choice((None, 0, 700, 90_000)),
            usage=self.rng.choice((None, Usage(50, 5))),
        )

    async def _meet(self, call):
        for _ in range(self.rng.randrange(3)):
            await asyncio.sleep(0)
        self.clock.ms += self.rng.randrange(400)
        return self._fault() if self.rng.random() < self.bad.get(call.provider, 0) else None

    async def complete(self, call):
        return await self._meet(call) or Completion(b"{}", Usage(100, 50))

    async def open_stream(self, call):
        failed = await self._meet(call)
        if failed is not None:
            return failed
        if self.rng.random() < self.bad.get(call.provider, 0):
            return Breaks(Usage(100, 9), self._fault(), hangs=self.rng.random() < 0.5)
        return Answered(Usage(100, 50))


async def one(house, flow, rng):
    """A request, which its client may leave at any step."""
    options = {"mode": rng.choice(MODES)}
    model = rng.choice((None, None, "large"))
    if rng.random() < 0.3:
        options["exclude_providers"] = tuple(rng.sample(PROVIDERS, rng.randrange(4)))
    if rng.random() < 0.3:
        options["session_id"] = f"s{rng.randrange(5)}"
    if rng.random() < 0.1:
        options["failover"] = False
    request = house.request(rng, model=model, stream=rng.random() < 0.5, **options)
    task = asyncio.create_task(house._ask(flow, request, a_tenant()))
    if rng.random() < 0.3:
        for _ in range(rng.randrange(6)):
            await asyncio.sleep(0)
        task.cancel()
    for _ in range(200):
        if task.done():
            break
        await asyncio.sleep(0)
    task.cancel()  # what hangs is left
    await asyncio.gather(task, return_exceptions=True)


async def history(house, flows, snapshots, rng):
    board = MemoryBoard(house.clock.now_ms)
    for _ in range(ROUNDS):
        house.upstream.turn()
        await asyncio.gather(*(one(house, rng.choice(flows), rng) for _ in range(rng.randrange(1, 6))))
        house.clock.ms += rng.choice((0, 100, 1_100, 11_000, 70_000, -30_000))
        flow = rng.choice(flows)
        if rng.random() < 0.4:
            await exchange(flow.state, board, house.clock.now_ms, lambda: asyncio.sleep(0))
        if rng.random() < 0.1:
            flow.state.swap(rng.choice(snapshots))


async def afterwards(house, flow, rng):
    """All is well again: everyone is called now and then."""
    house.upstream.heal()
    for _ in range(12):
        for provider in PROVIDERS:
            house.clock.ms += 7_000
            others = tuple(p for p in PROVIDERS if p != provider)
            await house._ask(flow, house.request(rng, exclude_providers=others, mode="cost"), a_tenant())
    house.clock.ms += 2_000  # what the last one told is logged with the next
    await house._ask(flow, house.request(rng, mode="cost"), a_tenant())


@pytest.mark.parametrize("seed", SEEDS)
def test_p20_any_history_replays_and_leaves_no_place_taken_and_no_arm_away(seed, tmp_path):
    rng = random.Random(seed)
    house = House(tmp_path, seed)
    house.upstream = Moody(random.Random(seed + 3), house.clock)
    snapshots = [
        house.stored(spec)
        for spec in (a_spec(), a_spec(quality=0.7, seed=5), a_spec(providers=PROVIDERS[1:]))
    ]
    flows = [house.worker(name, snapshots[0]) for name in ("w-one", "w-two")]
    asyncio.run(history(house, flows, snapshots, rng))
    for flow in flows:
        asyncio.run(afterwards(house, flow, rng))
        health = flow.state.health
        assert health.probes.providers() == []
        small = [arm for arm in flow.state.snapshot.spec.arms.arm if arm.endswith("/small")]
        assert [a for a in small if (live := health.table.get(a)) is not None and live.open_circuit] == []
    assert sum(flow.state.health.seq for flow in flows) > 5, "nothing of health was decided by"
    house.close()
    seen = verify(house.log, house.store, quiet)
    assert seen.ok, (seen.mismatches[:2], seen.faults, seen.strays[:2])
    assert seen.unended == 0, "a client that leaves is an outcome too"
    assert seen.decisions > ROUNDS
    assert seen.attempts > 0
