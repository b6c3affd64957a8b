"""One call at a time finds out whether an arm is back, whatever happens."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from p402.routing.breaker import COOL_MS, OPEN_AFTER, OPEN_MS, Breaker
from p402.routing.health import PUBLISH_MS, Health

T0 = 1_800_000_000_000
ARM, SIBLING, OTHER = "a/x", "a/y", "b/x"


def publish(health, now_ms):
    """Log and take up what is due; gives it."""
    moved = health.due(now_ms)
    if moved is not None:
        health.publish(moved)
    return moved


def half_open(*arms, now_ms=T0):
    """Arms that failed and have rested; gives the health and the time."""
    health = Health()
    for arm in arms:
        for _ in range(OPEN_AFTER):
            health.observe(arm, now_ms, failed=True)
    publish(health, now_ms)
    now_ms += OPEN_MS
    publish(health, now_ms)
    assert all(health.table[arm].half_open for arm in arms)
    return health, now_ms


def test_a_resting_breaker_lets_nobody_try():
    health = Health()
    for _ in range(OPEN_AFTER):
        health.observe(ARM, T0, failed=True)
    publish(health, T0)
    assert not health.begin_probe(ARM)
    assert not health.begin_probe("never/called")
    assert health.probes.providers() == []


def test_when_its_rest_ends_exactly_one_may_try():
    health, _ = half_open(ARM)
    assert [health.begin_probe(ARM) for _ in range(100)] == [True] + [False] * 99
    assert health.probes.providers() == ["a"]


def test_a_success_closes_it_for_all_and_only_once_that_is_logged():
    health, now = half_open(ARM)
    health.begin_probe(ARM)
    health.observe(ARM, now + 1, failed=False, probe=True)
    assert health.probes.providers() == ["a"]  # the columns still say half open
    assert not publish(health, now + PUBLISH_MS)[ARM].open_circuit
    assert health.probes.providers() == []


def test_each_failed_probe_doubles_the_rest_up_to_a_minute():
    health, now = half_open(ARM)
    rests = []
    for _ in range(5):
        assert health.begin_probe(ARM)
        health.observe(ARM, now, failed=True, probe=True)
        failed_ms = now
        while not health.table[ARM].half_open or health.probes.providers():
            now += PUBLISH_MS
            publish(health, now)
        rests.append(now - failed_ms)
    assert rests == [2 * OPEN_MS, 4 * OPEN_MS, COOL_MS, COOL_MS, COOL_MS]


def test_after_a_success_it_rests_as_short_as_at_first():
    breaker = Breaker()
    for _ in range(2):
        for _ in range(OPEN_AFTER):
            breaker.failed(T0)
        assert breaker.left_ms(T0) == OPEN_MS
        breaker.failed(T0 + OPEN_MS, probe=True)
        assert breaker.left_ms(T0 + OPEN_MS) == 2 * OPEN_MS
        breaker.close()


def test_a_failed_probe_keeps_the_providers_own_wait_if_that_is_longer():
    breaker = Breaker()
    breaker.failed(T0, 3_000)
    breaker.failed(T0 + 3_000, 50_000, probe=True)
    assert breaker.left_ms(T0 + 3_000) == 50_000
    breaker = Breaker()
    breaker.failed(T0, 3_000)
    breaker.failed(T0 + 3_000, 1_000, probe=True)
    assert breaker.left_ms(T0 + 3_000) == 6_000


def test_a_failure_that_is_no_probe_does_not_double_the_rest():
    breaker = Breaker()
    for _ in range(4 * OPEN_AFTER):
        breaker.failed(T0)
    breaker.failed(T0 + OPEN_MS, probe=True)
    assert breaker.left_ms(T0 + OPEN_MS) == 2 * OPEN_MS


def test_a_probe_that_never_ends_gives_its_place_back():
    health, now = half_open(ARM)
    assert health.begin_probe(ARM)
    health.probes.give_back(ARM)
    health.probes.give_back(ARM)
    assert health.begin_probe(ARM)
    health.observe(ARM, now, failed=True, probe=True)
    health.probes.give_back(ARM)  # too late: what it told is not logged yet
    assert not health.begin_probe(ARM)


def test_no_other_arm_of_a_provider_is_tried_meanwhile_nor_right_after_a_failure():
    health, now = half_open(ARM, SIBLING, OTHER)
    assert health.begin_probe(ARM)
    assert not health.begin_probe(SIBLING)
    assert health.begin_probe(OTHER)
    health.observe(ARM, now, failed=True, probe=True)
    publish(health, now + PUBLISH_MS)
    assert not health.table[SIBLING].half_open
    assert not health.begin_probe(SIBLING)
    publish(health, now + OPEN_MS)
    assert health.begin_probe(SIBLING)  # it is not kept back for as long as the arm that failed


def test_a_success_at_one_arm_has_the_others_tried_at_once():
    health, now = half_open(ARM, SIBLING)
    health.begin_probe(ARM)
    health.observe(ARM, now, failed=True, probe=True)
    publish(health, now + PUBLISH_MS)
    assert not health.table[SIBLING].half_open
    health.observe("a/z", now + 1_500, failed=False)
    publish(health, now + 2 * PUBLISH_MS)
    assert health.begin_probe(SIBLING)


def test_a_success_closes_what_a_failure_of_the_whole_provider_opened_and_nothing_else():
    health = Health()
    for arm in (ARM, SIBLING, OTHER):
        for _ in range(OPEN_AFTER):
            health.observe(arm, T0, failed=True, of_provider=True)
    for _ in range(OPEN_AFTER):
        health.observe("a/broken", T0, failed=True)
    publish(health, T0)
    health.observe(ARM, T0 + 10, failed=False)
    moved = publish(health, T0 + PUBLISH_MS)
    opened = {
        arm: moved.get(arm, health.table[arm]).open_circuit for arm in (ARM, SIBLING, OTHER, "a/broken")
    }
    assert opened == {ARM: False, SIBLING: False, OTHER: True, "a/broken": True}


def test_a_first_content_closes_it_however_long_the_stream_takes():
    health, now = half_open(ARM)
    health.begin_probe(ARM)
    health.answered(ARM, now)
    assert not publish(health, now + PUBLISH_MS)[ARM].open_circuit
    assert health.probes.providers() == []


def test_a_clock_that_is_set_back_ends_a_rest_rather_than_prolong_it():
    breaker = Breaker()
    for _ in range(OPEN_AFTER):
        breaker.failed(T0)
    assert breaker.is_half_open(T0 - 3_600_000)


class AnyHistory(RuleBasedStateMachine):
    """Requests that choose, answer, fail and leave in any order, and time that goes both ways."""

    arms = st.sampled_from([ARM, SIBLING, OTHER])

    def __init__(self):
        super().__init__()
        self.health, self.now = Health(), T0
        self.trying: list[str] = []
        self.looks = 0
        for arm in (ARM, SIBLING, OTHER):
            for _ in range(OPEN_AFTER):
                self.health.observe(arm, self.now, failed=True)

    @rule(arm=arms)
    def begin(self, arm):
        if self.health.begin_probe(arm):
            assert self.health.table[arm].half_open
            self.trying.append(arm)

    @rule(place=st.integers(0, 9), failed=st.booleans(), wait=st.none() | st.integers(0, 10**5))
    def end(self, place, failed, wait):
        if self.trying:
            arm = self.trying.pop(place % len(self.trying))
            self.health.observe(
                arm, self.now, failed=failed, retry_after_ms=wait if failed else None, probe=True
            )

    @rule(place=st.integers(0, 9))
    def leave(self, place):
        if self.trying:
            self.health.probes.give_back(self.trying.pop(place % len(self.trying)))

    @rule(arm=arms, failed=st.booleans(), of_provider=st.booleans())
    def observe_another(self, arm, failed, of_provider):
        self.health.observe(arm, self.now, failed=failed, of_provider=failed and of_provider)

    @rule(ms=st.sampled_from([1, 400, 1_000, 9_000, 10_000, 21_000, 61_000, -5_000]), full=st.booleans())
    def pass_time(self, ms, full):
        self.now += ms
        moved = self.health.due(self.now)
        if moved is not None and not full:
            self.health.publish(moved)

    @invariant()
    def at_most_one_probe_per_arm_and_provider_is_in_flight(self):
        assert len(set(self.trying)) == len(self.trying)
        assert len({arm[0] for arm in self.trying}) == len(self.trying)
        assert {arm[0] for arm in self.trying} <= set(self.health.probes.providers())

    @invariant()
    def no_place_is_lost(self):
        told = set(self.health.probes.providers()) - {arm[0] for arm in self.trying}
        if told:  # all that is left is given free by the next look
            self.looks += 1
            moved = self.health.due(self.now + 10 * COOL_MS * self.looks)
            if moved is not None:
                self.health.publish(moved)
            assert set(self.health.probes.providers()) == {arm[0] for arm in self.trying}

    @invariant()
    def only_an_open_breaker_is_half_open(self):
        for live in self.health.table.values():
            assert live.open_circuit or not live.half_open


TestAnyHistory = AnyHistory.TestCase
