"""Interleavings that once broke the guard that hosts share; each docstring says what went wrong then."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from p402.errors import Refusal
from p402.guard.daily import HOLD_TTL_MS
from p402.guard.lease import GRACE_MS
from p402.limits import Limits, Rate
from p402.ports import Hold
from serve.guard import scripts
from serve.guard.wanted import Wanted
from serve.redis.address import read_address
from serve.redis.calls import Script
from serve.redis.link import Link
from tests.conformance.guard import NOON
from tests.limits import capped
from tests.serve.guard.test_shared import PATIENT, Host, tell
from tests.serve.guard.test_shared_faults import CAP, LEASE, drawn, story
from tests.serve.redis.server import Server

NO_LEASE = {"lease_nano": lambda *_: 0, "link": PATIENT}


def held_back(h: Host, script: Script) -> tuple[asyncio.Event, asyncio.Event]:
    """Let a worker's calls of a script leave only when told: its loop is busy, or the network slow.

    Gives what is set once such a call has been made, and what lets it go.
    """
    made, go, real = asyncio.Event(), asyncio.Event(), h.guard._redis.call

    def call(*parts):
        if len(parts) < 2 or parts[1] != script.sha:
            return real(*parts)

        async def later():
            made.set()
            await go.wait()
            return await real(*parts)

        return later()

    h.guard._redis.call = call
    return made, go


async def backed_up(server: Server) -> dict[str, bytes]:
    keys = [k.decode() for k in await tell(server, "KEYS", "*")]
    return {key: await tell(server, "DUMP", key) for key in keys}


async def restored(server: Server, before: dict[str, bytes]) -> None:
    await tell(server, "FLUSHALL")
    for key, dump in before.items():
        await tell(server, "RESTORE", key, "0", dump)


async def held_in_redis(server: Server) -> int:
    return int(await tell(server, "HGET", "p402:{t}:books", f"{NOON // 86_400_000}:h") or 0)


# Money beyond the cap


def test_a_redis_that_went_back_is_seen_by_a_host_that_had_not_seen_the_rest(tmp_path: Path) -> None:
    """A replica without A's last grant; B has not seen that grant, but A has, and its watch looks."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = (host(name, hosts=2, **NO_LEASE) for name in "ab")
        for h in (a, b):
            await h.start()
        await a.guard._watch.look()
        before = await backed_up(server)
        of_a = await a.guard.reserve("t", "a1", 900_000)
        assert isinstance(of_a, Hold)
        await restored(server, before)
        await a.guard._watch.look()  # at the latest a second later
        of_b = await b.guard.reserve("t", "b1", 900_000)
        assert isinstance(of_b, Refusal), "1.8 of a cap of 1.0 is granted"

    story(tmp_path, tell_it)


def test_a_redis_that_went_back_is_seen_by_the_other_worker_of_the_same_host(tmp_path: Path) -> None:
    """The same with one host of two workers."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = host(**NO_LEASE), host(**NO_LEASE)
        for h in (a, b):
            await h.start()
        b.guard._reporter.known("t").report = a.guard._reporter.known("t").report
        before = await backed_up(server)
        of_a = await a.guard.reserve("t", "a1", 900_000)
        assert isinstance(of_a, Hold)
        await restored(server, before)
        await a.guard._watch.look()  # at the latest a second later
        of_b = await b.guard.reserve("t", "b1", 900_000)
        assert isinstance(of_b, Refusal), "1.8 of a cap of 1.0 is granted"

    story(tmp_path, tell_it)


def test_a_ledger_that_went_back_by_one_report_takes_nothing_back(tmp_path: Path) -> None:
    """The restored ledger's next number is the one in force: only the report's token tells them apart."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(**NO_LEASE)
        await a.start()
        with sqlite3.connect(a.own.path) as db:
            db.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
        await a.guard._reporter.report("t")
        hold = await a.guard.reserve("t", "later", 900_000)
        assert isinstance(hold, Hold)
        a.guard.settle(hold, 900_000)
        assert await a.guard.spent("t") == (900_000, 0)
        await a.die()
        shutil.rmtree(a.own.path.parent)
        again = host(**NO_LEASE)
        shutil.copy(tmp_path / "backup.db", again.own.path)
        await again.start()
        await again.guard._reporter.report("t")
        assert (await again.guard.spent("t"))[0] >= 900_000
        assert isinstance(await again.guard.reserve("t", "new", 900_000), Refusal)

    story(tmp_path, tell_it)


def test_a_repeat_that_is_cancelled_leaves_the_first_callers_hold(tmp_path: Path) -> None:
    """The port: a repeated id gives the same hold. Cancelled, the repeat settles the live call at 0 in
    Redis."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(**NO_LEASE)
        await a.start()
        hold = await a.guard.reserve("t", "x", 900_000)
        assert isinstance(hold, Hold)
        repeat = asyncio.ensure_future(a.guard.reserve("t", "x", 900_000))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        repeat.cancel()
        await asyncio.gather(repeat, return_exceptions=True)
        assert isinstance(await a.guard.reserve("t", "y", 900_000), Refusal), "1.8 of 1.0 is granted"

    story(tmp_path, tell_it)


def test_a_repeat_that_the_ledger_refuses_leaves_the_first_callers_hold(tmp_path: Path) -> None:
    """A repeat whose record fails settles the live call at 0 in the ledger too: what it costs is never
    booked."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(**NO_LEASE)
        a.own._busy_s = 0.05
        await a.start()
        hold = await a.guard.reserve("t", "x", 900_000)
        assert isinstance(hold, Hold)
        other = sqlite3.connect(a.own.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert isinstance(await a.guard.reserve("t", "x", 900_000), Refusal)
        other.execute("ROLLBACK")
        other.close()
        await a.guard.spent("t")
        a.guard.settle(hold, 900_000)
        assert await a.guard.spent("t") == (900_000, 0)

    story(tmp_path, tell_it)


def test_an_id_whose_first_grant_expired_unrecorded_counts_when_it_is_granted_again(tmp_path: Path) -> None:
    """A report takes the charge of an expired orphan away but leaves its entry, of which a repeat is
    "granted"."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        clock = [NOON]
        a = host(clock=clock, **NO_LEASE)
        await a.start()
        who = a.guard._reporter.caller("t")
        link = Link(
            read_address(server.url), scripts=scripts.ALL, **PATIENT
        )  # a worker that is killed after it
        await link.call(*scripts.ask_reserve(who, Wanted("t", "x", 900_000, 0, capped(CAP))))
        await link.aclose()
        clock[0] += HOLD_TTL_MS
        assert await a.guard.spent("t") == (900_000, 0)
        await a.guard._reporter.report("t")
        hold = await a.guard.reserve("t", "x", 900_000)
        assert isinstance(hold, Hold)
        assert isinstance(await a.guard.reserve("t", "y", 900_000), Refusal), "1.8 of 1.0 is granted"

    story(tmp_path, tell_it)


@pytest.mark.parametrize("b_reports", [False, True])
def test_every_missing_host_counts_at_its_share_whatever_another_spent(
    tmp_path: Path, b_reports: bool
) -> None:
    """What is seen of one missing host is set off against the share of another (`closed`, and '?' in
    report.lua)."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        clock = [NOON]
        a, b = (host(n, hosts=3, clock=clock, **NO_LEASE) for n in "ab")
        await a.start()
        await b.start()
        clock[0] += GRACE_MS
        hold = await b.guard.reserve("t", "b1", 600_000)
        assert isinstance(hold, Hold)
        b.guard.settle(hold, 600_000)
        await b.guard.spent("t")
        await a.guard._reporter.report("t")  # sees what b has spent
        await tell(server, "FLUSHALL")
        await a.guard._watch.look()
        clock[0] += GRACE_MS
        assert isinstance(await a.guard.reserve("t", "a1", 1), Hold)
        if b_reports:
            await b.guard._watch.look()
        # b has spent 600,000 and c counts at 333,333: 66,667 are left
        assert isinstance(await a.guard.reserve("t", "a2", 100_000), Refusal)

    story(tmp_path, tell_it)


def test_a_copied_ledger_is_refused_also_while_both_count_alike(tmp_path: Path) -> None:
    """README: two hosts under one name are refused. Where both begin the same number, both take it for
    theirs."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host("a", **NO_LEASE)
        await a.start()
        b = host("b", **NO_LEASE)
        with sqlite3.connect(a.own.path) as db:
            db.execute("VACUUM INTO ?", (str(b.own.path),))
        await b.start()
        of_b = await b.guard.reserve("t", "of b", 900_000)
        for _ in range(2):  # the first finds b's of the same number in force, the second takes its place
            await a.guard._reporter.report("t")
        of_a = await a.guard.reserve("t", "of a", 900_000)
        assert isinstance(of_a, Refusal) or isinstance(of_b, Refusal), "1.8 of a cap of 1.0 is granted"

    story(tmp_path, tell_it)


# The guard does not start, or stops looking after the books


def strict(limits: dict[str, Limits]) -> Callable[[str], Limits]:
    return lambda tenant: limits[tenant]  # as serve/worker.py has it


def test_a_tenant_that_left_the_configuration_does_not_stop_the_start(tmp_path: Path) -> None:
    """The ledger's `shared` still names it, its limits are asked for: KeyError out of `start`."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        both = strict({"t": capped(CAP), "gone": capped(CAP)})
        first = Host(tmp_path / "a", server.url, both, lambda: NOON, tenants=("t", "gone"))
        await first.start()
        await first.close()
        left = Host(tmp_path / "a", server.url, strict({"t": capped(CAP)}), lambda: NOON, tenants=("t",))
        try:
            await left.start()
            assert isinstance(await left.guard.reserve("t", "1", 1), Hold)
        finally:
            await left.close()

    story(tmp_path, tell_it)


def test_the_watch_outlives_a_fault_of_ours_and_the_guard_closes(tmp_path: Path) -> None:
    """Anything but the six expected errors ends the watch in silence; then `close` raises it."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        known = {"t": capped(CAP), "u": capped(CAP)}
        a = Host(tmp_path / "a", server.url, strict(known), lambda: NOON, tenants=("t", "u"))
        a.guard._watch.every_s = 0.01
        await a.start()
        try:
            del known["u"]
            await asyncio.sleep(0.1)
            task = a.guard._watch._task
            assert task is not None
            assert not task.done()
        finally:
            await a.close()

    story(tmp_path, tell_it)


def test_one_tenant_whose_keys_are_broken_leaves_the_others_looked_after(tmp_path: Path) -> None:
    """`look` stops at the first batch with a fault: tenants behind it are never renewed, mended nor
    given back."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        fillers = tuple(f"f{i}" for i in range(63))
        a = host(tenants=("bad", *fillers, "t"), **NO_LEASE)
        await a.start()
        await tell(server, "FLUSHALL")
        await tell(server, "SET", "p402:{bad}:books", "of another program")
        for _ in range(3):
            await a.guard._watch.look()
        assert await tell(server, "EXISTS", "p402:{t}:books") == 1

    story(tmp_path, tell_it)


# Books that stay above the truth though nobody died


def test_a_caller_that_leaves_while_the_lease_pays_holds_nothing(tmp_path: Path) -> None:
    """A `Do` is done though its caller left, and nobody gives its hold back: charged after five minutes."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host()
        await a.start()
        await drawn(a)
        server.kill()
        assert isinstance(await a.guard.reserve("t", "first away", 0), Hold)  # the breaker is open now
        waiting = asyncio.ensure_future(a.guard.reserve("t", "w", LEASE))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        (left,) = await asyncio.gather(waiting, return_exceptions=True)
        assert isinstance(left, asyncio.CancelledError)
        await asyncio.sleep(0.1)
        assert isinstance(await a.guard.reserve("t", "next", LEASE), Hold)

    story(tmp_path, tell_it)


def test_a_settlement_while_another_workers_report_is_on_its_way_is_told_in_the_end(tmp_path: Path) -> None:
    """Told under the report that is begun but not there yet: "stale", which nobody heeds; then it arrives."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = host(**NO_LEASE), host(**NO_LEASE)
        for h in (a, b):
            await h.start()
        hold = await a.guard.reserve("t", "x", 100)
        assert isinstance(hold, Hold)
        begun, go = held_back(b, scripts.REPORT)
        report = asyncio.ensure_future(b.guard._reporter.report("t"))
        await begun.wait()
        a.guard.settle(hold, 40)
        await a.guard._settling.settled()
        go.set()
        await report
        for h in (a, b):
            await h.guard._watch.look()
        assert await a.guard.spent("t") == (40, 0)

    story(tmp_path, tell_it)


def test_a_caller_that_leaves_while_its_hold_is_written_holds_nothing_also_beside_a_report(
    tmp_path: Path,
) -> None:
    """`_record` gives the hold back by `own.settle`, which tells nobody under the report that came
    between."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = host(**NO_LEASE), host(**NO_LEASE)
        for h in (a, b):
            await h.start()
        record = a.own.record

        async def recorded(*args):
            await record(*args)
            await b.guard._reporter.report("t")
            raise asyncio.CancelledError  # it reaches the caller with the verdict

        a.own.record = recorded
        with pytest.raises(asyncio.CancelledError):
            await a.guard.reserve("t", "x", 100)
        a.own.record = record
        await a.guard._settling.settled()
        for h in (a, b):
            await h.guard._watch.look()
        assert await a.guard.spent("t") == (0, 0)

    story(tmp_path, tell_it)


def test_a_call_under_way_when_a_ledger_is_restored_is_held_once(tmp_path: Path) -> None:
    """Under the new name the call is held again over the old entry, whose amount stays in the day's
    total for good."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        clock = [NOON]
        a = host(clock=clock, **NO_LEASE)
        await a.start()
        hold = await a.guard.reserve("t", "x", 100)
        assert isinstance(hold, Hold)
        with sqlite3.connect(a.own.path) as db:
            db.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
        for _ in range(3):
            await a.guard._reporter.report("t")
        await a.die()
        shutil.rmtree(a.own.path.parent)
        again = host(clock=clock, **NO_LEASE)
        shutil.copy(tmp_path / "backup.db", again.own.path)
        await again.start()
        again.guard.settle(hold, 40)
        await again.guard.spent("t")
        clock[0] += 2 * HOLD_TTL_MS
        assert (await again.guard.spent("t"))[1] == 0

    story(tmp_path, tell_it)


def test_two_workers_that_find_their_ledger_restored_take_one_new_name(tmp_path: Path) -> None:
    """Number and rename are two transactions: the host is told under two names, all it spent twice."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = host(**NO_LEASE), host(**NO_LEASE)
        await a.start()
        first = await a.guard.reserve("t", "1", 100)
        assert isinstance(first, Hold)
        a.guard.settle(first, 100)
        assert await a.guard.spent("t") == (100, 0)
        b.own.start()
        await b.guard._reporter.refresh("t")
        who = a.guard._reporter.host
        await tell(server, "HSET", "p402:{t}:books", f"g:{who}", "50")  # as from before the restoring
        real, stage = b.own.do, 0

        async def slow(work):
            nonlocal stage
            done = await real(work)
            stage += 1
            if stage == 2:  # b has found its number to be below; a does all of it meanwhile
                await a.guard._reporter.report("t")
            return done

        b.own.do = slow
        await b.guard._reporter.report("t")
        b.own.do = real
        assert await a.guard.spent("t") == (200, 0)  # the old name's, and the new one's

    story(tmp_path, tell_it)


def test_the_last_report_of_a_worker_gives_the_lease_back_also_behind_another(tmp_path: Path) -> None:
    """`close` joins a report under way, which keeps the lease: charged five minutes later, for nobody."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(link=PATIENT)
        await a.start()
        await drawn(a)
        assert await held_in_redis(server) == LEASE
        begun, go = held_back(a, scripts.REPORT)
        looking = asyncio.ensure_future(a.guard._watch.look())  # the watch's regular one
        await begun.wait()
        closing = asyncio.ensure_future(a.guard.close())
        await asyncio.sleep(0.05)
        go.set()
        await closing
        await asyncio.gather(looking, return_exceptions=True)
        assert await held_in_redis(server) == 0

    story(tmp_path, tell_it)


# Refusals that stay, requests that cost too much


def test_what_a_lease_did_not_spend_is_there_again_though_the_watch_has_tried_to_report(
    tmp_path: Path,
) -> None:
    """Each try begins a report, which marks the calls as known to Redis: what they give back is lost
    meanwhile."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host()
        await a.start()
        await drawn(a)
        server.kill()
        first = await a.guard.reserve("t", "1", LEASE)
        assert isinstance(first, Hold)
        await a.guard._watch.look()  # every second
        a.guard.settle(first, 1)
        assert isinstance(await a.guard.reserve("t", "2", LEASE - 1), Hold)

    story(tmp_path, tell_it)


def test_a_host_that_asks_first_of_a_tenant_it_was_not_told_of_reports_it(tmp_path: Path) -> None:
    """No report of ours and report 0 pass for the same: the host never reports, and counts as missing
    all day."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        clock = [NOON]
        a = host("a", hosts=2, clock=clock, **NO_LEASE)
        b = host("b", hosts=2, clock=clock, tenants=(), **NO_LEASE)
        await b.start()
        await a.start()
        clock[0] += GRACE_MS
        assert isinstance(await a.guard.reserve("t", "a1", CAP // 2), Hold)
        first = await b.guard.reserve("t", "b1", 0)
        assert isinstance(first, Hold)
        await b.guard._watch.look()
        assert isinstance(await b.guard.reserve("t", "b2", CAP // 2), Hold)

    story(tmp_path, tell_it)


def test_a_lost_settlement_of_a_tenant_that_the_host_never_reported_is_told_in_the_end(
    tmp_path: Path,
) -> None:
    """Nothing to mark: `soil` finds no row where a call was granted under report 0."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = host("a", **NO_LEASE), host("b", tenants=(), **NO_LEASE)
        await b.start()
        await a.start()
        hold = await b.guard.reserve("t", "x", 100)
        assert isinstance(hold, Hold)
        await tell(server, "CONFIG", "SET", "maxmemory", "1")
        b.guard.settle(hold, 40)
        await b.guard._settling.settled()
        await tell(server, "CONFIG", "SET", "maxmemory", "0")
        for _ in range(3):
            await b.guard._watch.look()
        assert await b.guard.spent("t") == (40, 0)

    story(tmp_path, tell_it)


def test_a_call_beside_a_report_takes_one_from_the_rate(tmp_path: Path) -> None:
    """Granted, found to be under an earlier report, and asked for again: the bucket pays twice."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        slow = capped(CAP, rate=Rate(1, 2))
        a, b = host(limits=slow, **NO_LEASE), host(limits=slow, **NO_LEASE)
        for h in (a, b):
            await h.start()
        record = a.own.record

        async def recorded(*args):
            a.own.record = record
            await b.guard._reporter.report("t")
            return await record(*args)

        a.own.record = recorded
        assert isinstance(await a.guard.reserve("t", "1", 1), Hold)
        assert isinstance(await a.guard.reserve("t", "2", 1), Hold)

    story(tmp_path, tell_it)


def test_a_call_that_is_settled_beside_a_report_is_learnt_from_once(tmp_path: Path) -> None:
    """Told before the report that still holds it and again after it: the tenant's past has it twice."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = host(**NO_LEASE), host(**NO_LEASE)
        for h in (a, b):
            await h.start()
        hold = await a.guard.reserve("t", "x", 100)
        assert isinstance(hold, Hold)
        begun, go = held_back(b, scripts.REPORT)
        report = asyncio.ensure_future(b.guard._reporter.report("t"))
        await begun.wait()
        told = asyncio.Event()
        queue = a.own.settle_and_tell

        def later(*args):
            asyncio.get_running_loop().create_task(written(*args))

        async def written(*args):
            await told.wait()
            queue(*args)

        a.own.settle_and_tell = later  # the file is busy for a moment
        a.guard.settle(hold, 40)
        await asyncio.sleep(0.05)
        go.set()
        await report
        told.set()
        await asyncio.sleep(0)
        assert await a.guard.spent("t") == (40, 0)
        following = await a.guard.reserve("t", "y", 100)
        assert isinstance(following, Hold)
        assert following.history.count == 1

    story(tmp_path, tell_it)


def test_a_call_that_the_lease_paid_is_renewed_while_a_report_that_names_it_is_on_its_way(
    tmp_path: Path,
) -> None:
    """Redis does not know it yet, the ledger thinks it does: a live call is told that it is over."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = host(link=PATIENT), host(link=PATIENT)
        for h in (a, b):
            await h.start()
        await drawn(a)
        verdict = await a.own.from_lease(
            Wanted("t", "x", 10, 0, capped(CAP)), (), lambda _: None
        )  # Redis was away for a moment
        assert isinstance(verdict, Hold)
        begun, go = held_back(b, scripts.REPORT)
        report = asyncio.ensure_future(b.guard._reporter.report("t"))
        await begun.wait()
        renewed = await a.guard.top_up(verdict, 10)
        go.set()
        await report
        assert isinstance(renewed, Hold), renewed

    story(tmp_path, tell_it)


def test_an_outage_that_is_long_over_refuses_no_call_of_a_worker_without_the_watch(tmp_path: Path) -> None:
    """Its breaker stayed open until a request knocked, which was refused however long Redis had been well."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a, b = host(lease_nano=lambda *_: 0), host(lease_nano=lambda *_: 0)
        for h in (a, b):
            h.guard._watch.every_s = 0.02
            await h.start()
        server.kill()
        assert isinstance(await b.guard.reserve("t", "away", 1), Refusal)
        server.start()
        await asyncio.sleep(2)  # ten openings, a hundred looks
        assert isinstance(await a.guard.reserve("t", "of a", 1), Hold)
        assert isinstance(await b.guard.reserve("t", "of b", 1), Hold)

    story(tmp_path, tell_it)


# Life


def test_a_settlement_after_the_close_opens_no_new_way_to_redis(tmp_path: Path) -> None:
    """`Late` makes another link when it is used after `aclose`; nobody closes that one."""

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(**NO_LEASE)
        await a.start()
        hold = await a.guard.reserve("t", "x", 100)
        assert isinstance(hold, Hold)
        await a.guard.close()
        a.guard.settle(hold, 40)
        await asyncio.sleep(0.05)
        late = a.guard._redis
        try:
            assert late._made is None
        finally:
            await late.aclose()

    story(tmp_path, tell_it)


def test_a_settlement_without_an_event_loop_does_not_raise(tmp_path: Path) -> None:
    """The SQLite hand takes one there; `settle` never raises."""
    holds: list[tuple[Host, Hold]] = []

    async def tell_it(server: Server, host: Callable[..., Host]) -> None:
        a = host(**NO_LEASE)
        await a.start()
        hold = await a.guard.reserve("t", "x", 100)
        assert isinstance(hold, Hold)
        holds.append((a, hold))
        await asyncio.to_thread(a.guard.settle, hold, 40)

    story(tmp_path, tell_it)
