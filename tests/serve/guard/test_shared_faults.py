"""The Redis hand where Redis is away, forgets or goes back, where answers are lost and workers die."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from p402.errors import ConfigError, Refusal, StoreError
from p402.guard.daily import DAY_MS, HOLD_TTL_MS
from p402.guard.lease import GRACE_MS, IDLE_MS, wanted_nano
from p402.guard.slots import SLOT_LEASE_MS
from p402.limits import Limits, Rate
from p402.ports import Hold
from serve.guard import position
from serve.guard.wanted import Wanted
from serve.redis.calls import RedisAway
from tests.conformance.guard import NOON
from tests.limits import capped
from tests.serve.guard.test_shared import PATIENT, Host, tell
from tests.serve.redis.proxy import proxy
from tests.serve.redis.server import Server, redis_server

CAP = 1_000_000
LEASE = wanted_nano(CAP, 1)
QUICK: dict[str, int] = {}
"""The link's own deadlines."""


def story(
    folder: Path, tell_it: Callable[[Server, Callable[..., Host]], Awaitable[None]], *options: str
) -> None:
    """Tell a story of hosts around one server; what is left open is closed."""

    async def run(server: Server) -> None:
        hosts: list[Host] = []

        def host(
            name: str = "a", limits: Limits | None = None, clock: list[int] | None = None, **more
        ) -> Host:
            url = more.pop("url", server.url)
            made = Host(
                folder / name, url, lambda _: limits or capped(CAP), lambda: (clock or [NOON])[0],
                **{"lease_nano": wanted_nano, "link": QUICK, "tenants": ("t",)} | more,
            )  # fmt: skip
            hosts.append(made)
            return made

        try:
            await tell_it(server, host)
        finally:
            for made in hosts:
                await made.close()

    (folder / "redis").mkdir()
    with redis_server(folder / "redis", *options) as server:
        try:
            asyncio.run(run(server))
        finally:
            if server.process is not None:
                server.thaw()


async def drawn(host: Host) -> None:
    """Have a lease drawn, as the watch does for a tenant that asks."""
    hold = await host.guard.reserve("t", "first", 0)
    assert isinstance(hold, Hold)
    host.guard.settle(hold, 0)
    await host.guard.spent("t")
    host.guard._watch.report_s = 0
    await host.guard._watch.look()


async def until(claim: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if await claim():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came true")


async def spent(host: Host) -> tuple[int, int] | None:
    try:
        return await host.guard.spent("t")
    except StoreError:
        return None


def test_p17_p18_frozen_redis_the_lease_pays_and_then_calls_are_refused_with_a_hint(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host()
        await a.start()
        await drawn(a)
        assert await a.guard.spent("t") == (0, LEASE)
        server.freeze()
        begun = time.monotonic()
        first = await a.guard.reserve("t", "1", LEASE - 10)
        assert time.monotonic() - begun < 0.3  # the promise: no request waits longer on Redis
        assert isinstance(first, Hold)
        refused = await a.guard.reserve("t", "2", 11)
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.status) == ("BUDGET_RESERVATION_FAILED", 503)
        assert refused.retry_after_ms
        second = await a.guard.reserve("t", "3", 10)
        assert isinstance(second, Hold)
        a.guard.settle(first, 100)
        again = await a.guard.reserve("t", "4", LEASE - 110)
        assert isinstance(again, Hold), "what a lease did not spend is there again"
        assert isinstance(await a.guard.top_up(second, 10), Hold)
        assert isinstance(await a.guard.top_up(second, 11), Refusal)
        a.guard.settle(again, 7)
        a.guard.settle(second, 0)
        server.thaw()

        async def told() -> bool:
            await a.guard._watch.look()
            return await spent(a) == (107, LEASE)

        await until(told)
        assert a.guard.counters.from_lease == 3

    story(tmp_path, tell_it)


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (capped(CAP, rate=Rate(3_600, 5)), "RATE_LIMIT_EXCEEDED"),
        (capped(CAP, max_in_flight=4), "CONCURRENCY_LIMIT_EXCEEDED"),
    ],
)
def test_p18_layers_1_and_3_fail_open_to_limits_of_the_hosts_own(
    tmp_path: Path, limits: Limits, code: str
) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(limits=limits)
        await a.start()
        await drawn(a)
        server.kill()
        granted = [await a.guard.reserve("t", str(i), 1) for i in range(20)]
        codes = [v.code for v in granted if isinstance(v, Refusal)]
        assert len(granted) - len(codes) == 4  # `drawn` has used one of the rate
        assert set(codes) == {code}

    story(tmp_path, tell_it)


def test_without_a_lease_nothing_is_spent_while_redis_is_away_also_from_the_start(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        server.kill()
        a = host()
        await a.start()
        refused = await a.guard.reserve("t", "1", 1)
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.status) == ("BUDGET_RESERVATION_FAILED", 503)
        with pytest.raises(StoreError, match="cannot be read"):
            await a.guard.spent("t")
        server.start()

        async def back() -> bool:
            return isinstance(await a.guard.reserve("t", "2", 1), Hold)

        await until(back)

    story(tmp_path, tell_it)


def test_a_flushed_redis_is_told_by_every_host_before_money_is_given_out(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = (host(name, hosts=2, lease_nano=lambda *_: 0, link=PATIENT) for name in "ab")
        for h in (a, b):
            await h.start()
        await a.guard._watch.look()
        of_a = await a.guard.reserve("t", "a1", 400_000)
        of_b = await b.guard.reserve("t", "b1", 500_000)
        assert isinstance(of_a, Hold)
        assert isinstance(of_b, Hold)
        a.guard.settle(of_a, 300_000)
        assert await a.guard.spent("t") == (300_000, 500_000)
        await tell(server, "FLUSHALL")
        refused = await a.guard.reserve("t", "a2", 1)
        assert isinstance(refused, Refusal)
        assert refused.retry_after_ms
        await b.guard._watch.look()
        assert await a.guard.spent("t") == (300_000, 500_000)
        refused = await a.guard.reserve("t", "a3", 200_001)
        assert isinstance(refused, Refusal)
        assert refused.status == 402
        assert isinstance(await a.guard.reserve("t", "a4", 200_000), Hold)

    story(tmp_path, tell_it)


def test_a_host_that_is_gone_when_redis_forgets_counts_at_its_share_or_what_was_seen_of_it(
    tmp_path: Path,
) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        clock = [NOON]
        a, b = (host(n, hosts=2, clock=clock, lease_nano=lambda *_: 0, link=PATIENT) for n in "ab")
        for h in (a, b):
            await h.start()
        await a.guard._watch.look()
        hold = await b.guard.reserve("t", "b1", 700_000)
        assert isinstance(hold, Hold)
        b.guard.settle(hold, 700_000)
        await b.guard.spent("t")
        await a.guard._reporter.report("t")  # sees what b has spent
        await b.die()
        await tell(server, "FLUSHALL")
        refused = await a.guard.reserve("t", "a1", 1)
        assert isinstance(refused, Refusal)
        assert refused.status == 503
        clock[0] += GRACE_MS
        assert isinstance(await a.guard.reserve("t", "a2", 300_001), Refusal)
        assert isinstance(await a.guard.reserve("t", "a3", 300_000), Hold)
        clock[0] += DAY_MS
        assert isinstance(await a.guard.reserve("t", "a4", CAP), Hold)

    story(tmp_path, tell_it)


def test_a_host_that_was_never_seen_counts_at_its_share_until_it_reports(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        clock = [NOON]
        a, b = (host(n, hosts=2, clock=clock, lease_nano=lambda *_: 0, link=PATIENT) for n in "ab")
        await a.start()
        clock[0] += GRACE_MS
        assert isinstance(await a.guard.reserve("t", "a1", CAP // 2 + 1), Refusal)
        assert isinstance(await a.guard.reserve("t", "a2", CAP // 2), Hold)
        await b.start()
        assert isinstance(await b.guard.reserve("t", "b1", CAP // 2), Hold)
        assert isinstance(await b.guard.reserve("t", "b2", 1), Refusal)

    story(tmp_path, tell_it)


def test_a_redis_that_went_back_is_found_out_and_told_anew(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(lease_nano=lambda *_: 0, link=PATIENT)
        await a.start()
        hold = await a.guard.reserve("t", "1", 300_000)
        assert isinstance(hold, Hold)
        keys = [k.decode() for k in await tell(server, "KEYS", "*")]
        before = {key: await tell(server, "DUMP", key) for key in keys}
        a.guard.settle(hold, 250_000)
        more = await a.guard.reserve("t", "2", 600_000)
        assert isinstance(more, Hold)
        await tell(server, "FLUSHALL")
        for key, dump in before.items():
            await tell(server, "RESTORE", key, "0", dump)
        refused = await a.guard.reserve("t", "3", 150_001)
        assert isinstance(refused, Refusal)
        assert refused.status == 402
        assert await a.guard.spent("t") == (250_000, 600_000)

    story(tmp_path, tell_it)


async def both_there(server: Server, a: Host, b: Host) -> None:
    """Two hosts that have told a fresh Redis of themselves."""
    for each in (a, b, a):
        await (each.start() if not each.guard.open else each.guard._watch.look())


async def begun_anew(server: Server, *hosts: Host) -> None:
    """Redis killed and started on what it had saved; every host has found that out."""
    server.kill()
    server.start()
    for each in hosts:
        await until(lambda each=each: answers(each))  # type: ignore[misc]


async def answers(host: Host) -> bool:
    try:
        await host.guard._redis.call("PING")
    except RedisAway:
        return False
    return True


def test_p18_a_redis_that_begins_anew_gives_nothing_out_until_each_host_has_told_it(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = (host(name, hosts=2, lease_nano=lambda *_: 0, link=PATIENT) for name in "ab")
        await both_there(server, a, b)
        await tell(server, "SAVE")
        lost = await a.guard.reserve("t", "a1", 700_000)
        assert isinstance(lost, Hold)
        a.guard.settle(lost, 700_000)
        assert await spent(a) == (700_000, 0)
        await begun_anew(server, a, b)
        b.guard.patience_s = 0.01
        early = await b.guard.reserve("t", "b1", 400_000)
        assert isinstance(early, Refusal), "nobody but a has seen what was lost"
        assert early.status == 503
        await a.guard._watch.look()
        late = await b.guard.reserve("t", "b1", 400_000)
        assert isinstance(late, Refusal)
        assert (late.code, late.status) == ("DAILY_SPEND_LIMIT_EXCEEDED", 402)
        assert isinstance(await b.guard.reserve("t", "b2", 300_000), Hold)

    story(tmp_path, tell_it)


def test_a_redis_that_begins_anew_on_all_it_had_counts_nothing_twice(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = (host(name, hosts=2, lease_nano=lambda *_: 0, link=PATIENT) for name in "ab")
        await both_there(server, a, b)
        done = await a.guard.reserve("t", "a1", 100_000)
        held = await b.guard.reserve("t", "b1", 200_000)
        assert isinstance(done, Hold)
        assert isinstance(held, Hold)
        a.guard.settle(done, 90_000)
        assert await spent(a) == (90_000, 200_000)
        for _ in range(2):
            await begun_anew(server, a, b)
            for each in (a, b, a):
                await each.guard._watch.look()
            assert await spent(a) == await spent(b) == (90_000, 200_000)
            standing = await a.guard.standing("t")
            assert (standing.in_flight, standing.account.history.count) == (1, 1)
        b.guard.settle(held, 50_000)
        assert await spent(b) == (140_000, 0)

    story(tmp_path, tell_it, "--appendonly", "yes")


def test_a_host_that_is_gone_when_redis_begins_anew_keeps_what_it_had_and_counts_at_its_share(
    tmp_path: Path,
) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        clock = [NOON]
        a, b = (host(n, hosts=2, lease_nano=lambda *_: 0, link=PATIENT, clock=clock) for n in "ab")
        await both_there(server, a, b)
        done = await b.guard.reserve("t", "b1", 600_000)
        assert isinstance(done, Hold)
        b.guard.settle(done, 600_000)
        assert await spent(b) == (600_000, 0)
        await b.die()
        for _ in range(2):
            await begun_anew(server, a)
            a.guard.patience_s = 0.01
            waits = await a.guard.reserve("t", f"early{_}", 1)
            assert isinstance(waits, Refusal)
            assert waits.status == 503
            clock[0] += GRACE_MS
            a.guard.patience_s = 20.0
            assert isinstance(await a.guard.reserve("t", f"fits{_}", 1), Hold)
            assert (await a.guard.spent("t"))[0] == 600_000, "more than its share of 500,000"
        back = host("b", hosts=2, lease_nano=lambda *_: 0, link=PATIENT, clock=clock)
        await back.start()
        assert (await back.guard.spent("t"))[0] == 600_000

    story(tmp_path, tell_it, "--appendonly", "yes")


def test_a_ledger_restored_from_a_backup_takes_nothing_back(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(link=PATIENT)
        await a.start()
        first = await a.guard.reserve("t", "1", 100)
        assert isinstance(first, Hold)
        a.guard.settle(first, 100)
        await a.guard.spent("t")
        with sqlite3.connect(a.own.path) as db:
            db.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
        for i in range(3):
            hold = await a.guard.reserve("t", f"later{i}", 200)
            assert isinstance(hold, Hold)
            a.guard.settle(hold, 200)
            await a.guard._reporter.report("t")
        await a.close()
        shutil.rmtree(a.own.path.parent)
        again = host(link=PATIENT)
        shutil.copy(tmp_path / "backup.db", again.own.path)
        await again.start()
        seen = await again.guard.spent("t")
        assert seen == (700 + 100, 0)  # what the old ledger had told stands; what it knows is told again
        assert isinstance(await again.guard.reserve("t", "new", 1), Hold)

    story(tmp_path, tell_it)


def test_a_lost_ledger_leaves_what_it_had_told(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(link=PATIENT)
        await a.start()
        hold = await a.guard.reserve("t", "1", 900_000)
        assert isinstance(hold, Hold)
        a.guard.settle(hold, 900_000)
        await a.close()
        shutil.rmtree(a.own.path.parent)
        again = host(link=PATIENT)
        await again.start()
        assert await again.guard.spent("t") == (900_000, 0)
        assert isinstance(await again.guard.reserve("t", "2", 100_001), Refusal)

    story(tmp_path, tell_it)


def test_a_caller_that_leaves_while_it_waits_holds_nothing(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(lease_nano=lambda *_: 0, link=PATIENT)
        await a.start()
        for i in range(60):
            waiting = asyncio.ensure_future(a.guard.reserve("t", f"w{i}", 10))
            for _ in range(i % 6):
                await asyncio.sleep(0)
            if i % 3 == 0:
                await asyncio.sleep(0.0005)
            waiting.cancel()
            kept = await asyncio.gather(waiting, return_exceptions=True)
            if isinstance(kept[0], Hold):
                a.guard.settle(kept[0], 0)
        assert await a.guard.spent("t") == (0, 0)
        assert (await a.guard.standing("t")).in_flight == 0

    story(tmp_path, tell_it)


def test_answers_that_are_lost_leave_books_that_say_the_truth(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        async with proxy(server.port) as between:
            a = host(url=between.url)
            await a.start()
            await drawn(a)
            truth = 0
            for i in range(30):
                if i % 3 == 0:
                    between.cut = 5 + i
                verdict = await a.guard.reserve("t", f"c{i}", 50)
                if isinstance(verdict, Hold):
                    a.guard.settle(verdict, i)
                    truth += i
                await asyncio.sleep(0.03)
            between.cut = None

            async def told() -> bool:
                await a.guard._watch.look()
                return await spent(a) == (truth, LEASE)

            await until(told)

    story(tmp_path, tell_it)


def test_a_full_redis_refuses_and_loses_nothing(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(lease_nano=lambda *_: 0, link=PATIENT)
        await a.start()
        hold = await a.guard.reserve("t", "1", 100)
        assert isinstance(hold, Hold)
        await tell(server, "CONFIG", "SET", "maxmemory", "1")
        refused = await a.guard.reserve("t", "2", 100)
        assert isinstance(refused, Refusal)
        assert refused.status == 503
        a.guard.settle(hold, 60)
        await asyncio.sleep(0.05)
        await tell(server, "CONFIG", "SET", "maxmemory", "0")
        assert await a.guard.spent("t") == (60, 0)

    story(tmp_path, tell_it)


def test_a_ledger_that_takes_nothing_refuses_and_redis_holds_nothing(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(lease_nano=lambda *_: 0, link=PATIENT)
        a.own._busy_s = 0.05
        await a.start()
        other = sqlite3.connect(a.own.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        refused = await a.guard.reserve("t", "1", 100)
        assert isinstance(refused, Refusal)
        assert refused.status == 503
        other.execute("ROLLBACK")
        other.close()
        assert await a.guard.spent("t") == (0, 0)

    story(tmp_path, tell_it)


def test_a_worker_that_dies_costs_its_maximum_and_gives_its_slot_back(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        clock = [NOON]
        limits = capped(CAP, max_in_flight=1)
        a = host(clock=clock, limits=limits, lease_nano=lambda *_: 0, link=PATIENT)
        await a.start()
        hold = await a.guard.reserve("t", "1", 100)
        assert isinstance(hold, Hold)
        await a.die()
        b = host(clock=clock, limits=limits, lease_nano=lambda *_: 0, link=PATIENT)
        await b.start()
        assert isinstance(await b.guard.reserve("t", "2", 1), Refusal)
        clock[0] += SLOT_LEASE_MS
        assert isinstance(await b.guard.reserve("t", "3", 1), Hold)
        clock[0] += HOLD_TTL_MS - SLOT_LEASE_MS
        assert await b.guard.spent("t") == (100, 1)
        b.guard.settle(hold, 40)  # its upstream's bill, found later
        assert await b.guard.spent("t") == (40, 1)

    story(tmp_path, tell_it)


def test_a_tenant_that_asks_for_nothing_gives_its_lease_back(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        clock = [NOON]
        a = host(clock=clock, link=PATIENT)
        await a.start()
        await drawn(a)
        assert await a.guard.spent("t") == (0, LEASE)
        clock[0] += IDLE_MS
        await a.guard._watch.look()
        assert await a.guard.spent("t") == (0, 0)

    story(tmp_path, tell_it)


def test_a_lease_shrinks_with_what_is_left_and_never_takes_the_last(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(link=PATIENT)
        await a.start()
        await drawn(a)
        hold = await a.guard.reserve("t", "1", CAP - LEASE)
        assert isinstance(hold, Hold)
        await a.guard._watch.look()
        assert await a.guard.spent("t") == (0, CAP)
        assert isinstance(await a.guard.reserve("t", "2", 1), Refusal)

    story(tmp_path, tell_it)


def test_a_redis_that_may_not_keep_budgets_stops_the_start(tmp_path: Path) -> None:
    async def check() -> None:
        raise ConfigError("it evicts")

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(check=check)
        with pytest.raises(ConfigError, match="evicts"):
            await a.start()

    story(tmp_path, tell_it)


def test_two_workers_of_a_host_report_at_once_and_grant_on(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = host(link=PATIENT), host(link=PATIENT)  # one folder, hence one ledger
        for h in (a, b):
            await h.start()

        async def work(h: Host, name: str) -> int:
            done = 0
            for i in range(40):
                hold = await h.guard.reserve("t", f"{name}{i}", 5)
                if isinstance(hold, Hold):
                    done += 3
                    h.guard.settle(hold, 3)
                if i % 7 == 0:
                    await h.guard._reporter.report("t")
            return done

        truth = sum(await asyncio.gather(work(a, "a"), work(b, "b"), work(a, "c")))
        assert truth == 360
        await a.guard._settling.settled()
        await b.guard._reporter.report("t", idle=True)
        assert await a.guard.spent("t") == (truth, 0)

    story(tmp_path, tell_it)


def test_a_host_that_has_not_reported_a_tenant_is_not_believed_before_it_has(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = (host(n, hosts=2, tenants=(), lease_nano=lambda *_: 0, link=PATIENT) for n in "ab")
        for h in (a, b):
            await h.start()
        refused = await a.guard.reserve("new", "a1", 1)
        assert isinstance(refused, Refusal)
        assert refused.status == 503
        assert isinstance(await b.guard.reserve("new", "b1", 1), Hold)
        assert isinstance(await a.guard.reserve("new", "a1", 1), Hold)

    story(tmp_path, tell_it)


def test_a_call_that_a_report_overtakes_is_granted_again_and_takes_one_request_of_the_rate(
    tmp_path: Path,
) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(limits=capped(CAP, rate=Rate(1, 5)), lease_nano=lambda *_: 0, link=PATIENT)
        await a.start()
        record, overtaken = a.own.record, 0

        async def after_a_report(*args):
            nonlocal overtaken
            if overtaken < 2:
                overtaken += 1
                await a.guard._reporter.report("t")
            return await record(*args)

        a.own.record = after_a_report
        assert isinstance(await a.guard.reserve("t", "1", 100), Hold)
        assert overtaken == 2
        assert await a.guard.spent("t") == (0, 100)
        for i in range(4):
            assert isinstance(await a.guard.reserve("t", f"more{i}", 1), Hold)
        refused = await a.guard.reserve("t", "last", 1)
        assert isinstance(refused, Refusal)
        assert refused.code == "RATE_LIMIT_EXCEEDED"

    story(tmp_path, tell_it)


def test_a_raise_that_a_report_overtakes_is_asked_for_again(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(lease_nano=lambda *_: 0, link=PATIENT)
        await a.start()
        hold = await a.guard.reserve("t", "1", 100)
        assert isinstance(hold, Hold)
        raise_to, overtaken = a.own.raise_to, []

        async def after_a_report(*args):
            if not overtaken:
                overtaken.append(args)
                await a.guard._reporter.report("t")
            return await raise_to(*args)

        a.own.raise_to = after_a_report
        raised = await a.guard.top_up(hold, 150)
        assert isinstance(raised, Hold)
        assert await a.guard.spent("t") == (0, 150)
        await a.guard._reporter.report("t")
        assert await a.guard.spent("t") == (0, 150), "the ledger knows it too"

    story(tmp_path, tell_it)


@pytest.mark.parametrize("leased", [False, True])
def test_calls_under_way_are_renewed_for_as_long_as_their_worker_lives(tmp_path: Path, leased: bool) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        clock = [NOON]
        a = host(clock=clock, link=PATIENT)
        await a.start()
        await drawn(a)
        if leased:
            hold = await a.own.from_lease(Wanted("t", "1", 10, 0, capped(CAP)), (), lambda _: None)
        else:
            hold = await a.guard.reserve("t", "1", 10)
        assert isinstance(hold, Hold)
        for _ in range(20):
            clock[0] += SLOT_LEASE_MS - 1_000
            a.own._beat()
            await a.guard._watch.look()
        standing = await a.guard.standing("t")
        assert standing.in_flight == 1
        assert standing.day.spent_nano == 0
        assert {name for name, _ in standing.calls if not name.startswith("lease:")} == {"1"}
        told = {t.tenant: t for t in await a.own.do(position.survey)}
        assert not told["t"].dirty

    story(tmp_path, tell_it)


def test_a_lease_of_yesterday_pays_for_nothing(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        clock = [NOON]
        a = host(clock=clock)
        await a.start()
        await drawn(a)
        server.kill()
        clock[0] += DAY_MS
        refused = await a.guard.reserve("t", "1", 1)
        assert isinstance(refused, Refusal)
        assert refused.status == 503

    story(tmp_path, tell_it)


def test_a_reservation_whose_answer_is_lost_is_taken_back(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        async with proxy(server.port) as between:
            a = host(url=between.url, lease_nano=lambda *_: 0)
            await a.start()
            between.cut = 5
            refused = await a.guard.reserve("t", "1", 50)
            assert isinstance(refused, Refusal)
            assert refused.status == 503

            async def taken_back() -> bool:
                await a.guard._watch.look()
                return await spent(a) == (0, 0)

            await until(taken_back)
            assert await tell(server, "ZCARD", "p402:{t}:slots") == 0

    story(tmp_path, tell_it)
