"""What is asked and when: keyed by session and turn alone, at the rates that the spec says."""

from itertools import pairwise

import numpy as np
import pytest

from p402.flow.plan import session_of
from p402.limits import Limits
from p402.request import Tenant
from sim.world.arrivals import mean_turns, session_starts, turns_of
from sim.world.chance import Chance
from sim.world.gateway import Gateway
from sim.world.play import run
from sim.world.spec import Arrivals, Burst, Sessions
from sim.world.traffic import Traffic
from tests.sim.world.small import ALDER, BIRCH, a_world, changed

HOUR_MS = 3_600_000


def starts_of(spec, seed=1):
    return np.array([at for _, at in session_starts(spec, Chance(seed))]) - spec.start_ms


def test_sessions_come_at_the_rate_of_the_hour():
    hourly = tuple(3.0 if 8 <= h < 16 else 0.0 for h in range(24))
    spec = a_world(hours=24 * 7, arrivals=Arrivals(per_hour=60, hourly=hourly), sessions=Sessions())
    hours = starts_of(spec) / HOUR_MS
    counts = np.bincount((hours % 24).astype(int), minlength=24)
    assert counts[[*range(8), *range(16, 24)]].sum() == 0
    assert abs(len(hours) - 60 * 24 * 7) < 4 * np.sqrt(60 * 24 * 7)


def test_weekdays_have_their_share():
    spec = a_world(
        hours=24 * 7, arrivals=Arrivals(per_hour=20, weekday=(2, 0, 2, 0, 2, 0, 1)), sessions=Sessions()
    )
    days = np.bincount((starts_of(spec) / (24 * HOUR_MS)).astype(int), minlength=7)
    assert (days[[1, 3, 5]] == 0).all()
    assert abs(days[0] - 960) < 4 * np.sqrt(960)
    assert abs(days[6] - 480) < 4 * np.sqrt(480)


def test_a_burst_multiplies_the_rate_while_it_lasts():
    bursts = (Burst(at_h=1.25, hours=0.5, factor=10), Burst(at_h=3, hours=1, factor=0))
    spec = a_world(hours=6, arrivals=Arrivals(per_hour=200, bursts=bursts), sessions=Sessions())
    at_h = starts_of(spec) / HOUR_MS
    inside = ((at_h >= 1.25) & (at_h < 1.75)).sum()
    assert abs(inside - 1000) < 4 * np.sqrt(1000)
    assert ((at_h >= 3) & (at_h < 4)).sum() == 0


def test_gaps_are_exponential():
    gaps = np.diff(starts_of(a_world(hours=40, arrivals=Arrivals(per_hour=100), sessions=Sessions())))
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(1.0, abs=0.06)


def test_turns_have_their_mean():
    law = Sessions(mean_turns=4, most_turns=7)
    turns = [turns_of(law, (i + 0.5) / 20_000) for i in range(20_000)]
    assert np.mean(turns) == pytest.approx(mean_turns(law), abs=0.01)
    assert (min(turns), max(turns)) == (1, 7)
    assert turns_of(Sessions(), 0.99) == 1


def test_requests_are_in_order_and_the_same_in_every_run():
    spec = a_world()
    one, two = list(Traffic(spec, Chance(3))), list(Traffic(spec, Chance(3)))
    assert one == two
    assert [a.at_ms for a in one] == sorted(a.at_ms for a in one)
    assert list(Traffic(spec, Chance(4))) != one


def test_a_conversation_grows_by_what_was_said():
    spec = a_world(sessions=Sessions(mean_turns=4, most_turns=9, answer_tokens=150))
    turns = {}
    for asked in Traffic(spec, Chance(1)):
        turns.setdefault(asked.session.number, []).append(asked)
    longest = max(turns.values(), key=len)
    assert len(longest) > 2
    for number, (before, after) in enumerate(pairwise(longest), 1):
        assert after.tokens > before.tokens + 150
        assert after.turn == number
        assert after.request.transcript.turns == 2 * number + 1
        assert after.at_ms >= before.at_ms + 2_000


def test_a_number_of_rounds_is_kept_to_however_long_it_takes():
    assert len(list(Traffic(a_world(hours=0.5), Chance(1), rounds=701))) == 701


def test_more_rounds_begin_with_the_same_ones():
    few = list(Traffic(a_world(sessions=Sessions()), Chance(1), rounds=50))
    many = list(Traffic(a_world(sessions=Sessions()), Chance(1), rounds=200))
    assert many[:50] == few


def test_sessions_without_a_name_are_still_sessions_of_their_own():
    spec = a_world(sessions=Sessions(mean_turns=3, named=0.0))
    tenant = Tenant("shop", 1, Limits(), None, "off", exploration=True)
    names = {}
    for asked in Traffic(spec, Chance(2)):
        assert asked.request.options.session_id is None
        names.setdefault(session_of(asked.request, tenant), set()).add(asked.session.number)
    assert all(len(numbers) == 1 for numbers in names.values())


def test_shares_of_tenants_and_tasks_are_kept():
    shop = a_world().tenants[0]
    lab = changed(shop, name="lab", share=3.0, tasks={"code": 1.0})
    spec = a_world(hours=200, sessions=Sessions(), tenants=(shop, lab))
    asked = list(Traffic(spec, Chance(5)))
    of_lab = [a for a in asked if a.session.tenant.name == "lab"]
    assert len(of_lab) / len(asked) == pytest.approx(0.75, abs=0.02)
    assert {a.session.task for a in of_lab} == {"code"}
    chat = [a for a in asked if a.session.tenant.name == "shop" and a.session.task == "chat"]
    assert len(chat) / (len(asked) - len(of_lab)) == pytest.approx(2 / 3, abs=0.04)


def test_how_a_spec_lists_its_shares_does_not_matter():
    def listed(back):
        def order(shares):
            return dict(sorted(shares.items(), reverse=back))

        tenant = a_world().tenants[0]
        lab = changed(
            tenant,
            modes=order({"balanced": 0.5, "cost": 0.3, "quality": 0.2}),
            tasks=order({"chat": 0.6, "code": 0.4}),
        )
        flaky = changed(ALDER, failures=order({"error": 0.2, "overloaded": 0.1, "cut": 0.15}))
        return a_world(tenants=(lab,), providers=(flaky, BIRCH))

    one, other = (run(listed(back), Gateway(), 5) for back in (False, True))
    assert one.equals(other)
    assert {"ok", "failed"} >= set(one["status"].to_pylist())
    assert one["attempts"].to_numpy().max() > 1
