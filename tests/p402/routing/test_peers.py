"""What one worker makes of the others' word: means by number of calls, breakers by whoever found out."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.events import ArmLive
from p402.routing.breaker import COOL_MS, OPEN_AFTER, OPEN_MS
from p402.routing.health import GRACE_MS, HEARD_MS, PUBLISH_MS, Health
from p402.routing.live import ERROR_ONE
from p402.routing.peers import (
    MAX_ARMS,
    MAX_BYTES,
    NEVER,
    VERSION,
    ArmTold,
    Gathering,
    ProviderTold,
    Told,
    decode,
    encode,
)

T0 = 1_800_000_000_000
ARM, SIBLING, OTHER = "a/x", "a/y", "b/x"
KNOWN = {ARM: 0, SIBLING: 1, OTHER: 2}


def gather(words, now_ms, known):
    gathering = Gathering(now_ms, known)
    for age_ms, told in words:
        gathering.take(age_ms, told)
    return gathering.heard()


def hear(health, words, now_ms, known=KNOWN):
    health.hear(gather(words, now_ms, known), now_ms)


def publish(health, now_ms):
    moved = health.due(now_ms)
    if moved is not None:
        health.publish(moved)
    return moved


class Group:
    """Workers whose clocks differ by hours, which exchange words once a second."""

    def __init__(self, *skews_ms, known=KNOWN):
        self.ms, self.known = 0, known
        self.skews = skews_ms
        self.workers = [Health() for _ in skews_ms]
        self.deaf: set[int] = set()

    def now(self, who):
        return T0 + self.ms + self.skews[who]

    def call(self, who, arm, times=1, **kw):
        for _ in range(times):
            self.workers[who].observe(arm, self.now(who), **kw)

    def fail(self, who, arm, times=OPEN_AFTER, **kw):
        self.call(who, arm, times, failed=True, **kw)

    def second(self):
        self.ms += 1_000
        words = [
            None if who in self.deaf else encode(health.told(self.now(who)))
            for who, health in enumerate(self.workers)
        ]
        for who, health in enumerate(self.workers):
            if who not in self.deaf:
                others = [decode(word) for k, word in enumerate(words) if k != who and word is not None]
                hear(health, [(0, told) for told in others], self.now(who), self.known)
            publish(health, self.now(who))

    def seconds(self, count):
        for _ in range(count):
            self.second()

    def live(self, who, arm=ARM):
        return self.workers[who].table.get(arm, ArmLive(open_circuit=False, ttft_ms=0, error_rate=0))


HOURS = (0, 3_600_000, -7_200_000)


def test_a_dead_arm_that_one_worker_found_is_known_to_all_within_two_seconds_whatever_their_clocks():
    group = Group(*HOURS)
    group.second()
    group.fail(1, ARM)
    group.seconds(2)
    assert [group.live(who).open_circuit for who in range(3)] == [True] * 3
    assert not any(group.live(who, SIBLING).open_circuit for who in range(3))


def test_a_provider_that_cannot_be_reached_is_known_with_arms_that_nobody_told_of():
    group = Group(*HOURS)
    group.fail(0, ARM, of_provider=True)
    group.seconds(2)
    assert group.live(1, SIBLING).open_circuit
    assert not group.live(1, OTHER).open_circuit


def test_an_arm_that_has_answered_here_since_stays():
    group = Group(0, 0)
    for _ in range(20):
        group.fail(0, ARM)
        group.ms += 100
        group.call(1, ARM, failed=False)
        group.second()
        assert not group.live(1).open_circuit


def test_an_arm_that_has_answered_anyone_since_is_kept_from_nobody():
    """A host with a network fault of its own, one that is well, and one that does not call."""
    group = Group(*HOURS)
    for _ in range(20):
        group.fail(0, ARM)
        group.ms += 100
        group.call(1, ARM, failed=False)
        group.second()
        assert group.live(0).open_circuit
        assert not group.live(2).open_circuit


def test_an_idle_worker_believes_for_a_minute_and_then_tries_itself():
    group = Group(0, 0)
    waited = 0
    group.fail(0, ARM)
    group.seconds(2)
    while not group.live(1).half_open:
        group.fail(0, ARM, 1, probe=True)  # fails for ever, there
        group.second()
        waited += 1_000
        assert waited <= 2 * COOL_MS + GRACE_MS + 2_000
    assert waited > OPEN_MS


def test_who_found_out_tries_first_and_its_failure_keeps_the_others_away():
    group = Group(0, 0)
    group.fail(0, ARM)
    tried = []
    for _ in range(50):
        group.second()
        for who, health in enumerate(group.workers):
            if health.begin_probe(ARM):
                tried.append((group.ms, who))
                health.observe(ARM, group.now(who), failed=True, probe=True)
    assert [who for _, who in tried] == [0] * len(tried)
    assert len(tried) == 2  # after 10 and 20 seconds; then it rests 40


def test_a_success_there_has_it_tried_here_at_once():
    group = Group(0, 0)
    group.fail(0, ARM)
    group.seconds(2)
    assert not group.live(1).half_open
    group.call(0, ARM, failed=False)
    group.seconds(2)
    assert (group.live(0).open_circuit, group.live(1).half_open) == (False, True)


def test_who_found_out_by_itself_rests_by_its_own_law():
    group = Group(0, 0)
    group.fail(0, ARM)
    group.fail(1, ARM)
    group.seconds(OPEN_MS // 1_000)
    assert group.workers[0].begin_probe(ARM)
    group.fail(0, ARM, 1, probe=True)
    group.second()
    assert (group.live(0).half_open, group.live(1).half_open) == (False, True)
    assert [one.arm for one in group.workers[1].told(group.now(1)).arms if one.opened_ago_ms >= 0] == [ARM]
    group.fail(1, ARM)  # rests again, by its own failures
    group.call(0, ARM, failed=False)
    group.seconds(2)
    assert (group.live(1).open_circuit, group.live(1).half_open) == (True, False)


def opened(health, now_ms):
    return [one.arm for one in health.told(now_ms).arms if one.opened_ago_ms >= 0]


@pytest.mark.parametrize(
    ("times", "probe", "own"), [(1, False, []), (OPEN_AFTER, False, [ARM]), (1, True, [ARM])]
)
def test_a_breaker_open_by_anothers_word_is_told_as_ones_own_only_once_it_is(times, probe, own):
    group = Group(0, 0)
    group.fail(0, ARM)
    group.seconds(2)
    assert group.live(1).open_circuit
    group.fail(1, ARM, times, probe=probe)
    assert opened(group.workers[1], group.now(1)) == own


def test_an_arm_that_answered_anyone_refutes_that_its_provider_is_gone():
    group = Group(*HOURS)
    group.fail(0, ARM, of_provider=True)
    group.ms += 100
    group.call(1, SIBLING, failed=False)
    group.seconds(2)
    assert group.live(0).open_circuit
    assert not group.live(2).open_circuit
    assert not group.live(2, SIBLING).open_circuit


def test_what_was_heard_decays_until_more_is_heard():
    health = Health()
    hear(health, [(0, Told(VERSION, [ArmTold(ARM, 100, 800, 0, NEVER)], []))], T0)
    publish(health, T0)
    at_first = health.table[ARM].error_rate
    publish(health, T0 + HEARD_MS - 500)
    assert 0.7 * at_first < health.table[ARM].error_rate < at_first


def test_what_is_heard_is_told_to_nobody():
    group = Group(0, 0)
    group.fail(0, ARM)
    group.fail(0, SIBLING, of_provider=True)
    group.seconds(3)
    assert group.live(1).open_circuit
    assert group.workers[1].told(group.now(1)) == Told(VERSION, [], [])


def test_a_worker_that_died_is_forgotten_and_its_breaker_tried():
    group = Group(0, 0)
    group.fail(0, ARM)
    group.call(0, SIBLING, 50, failed=True)
    group.seconds(2)
    assert group.live(1, SIBLING).error_rate > 0
    hear(group.workers[1], [], group.now(1), KNOWN)
    publish(group.workers[1], group.now(1) + PUBLISH_MS)
    assert group.live(1).half_open
    assert group.live(1, SIBLING).error_rate == 0


def test_when_no_word_comes_any_more_a_worker_goes_by_its_own():
    group = Group(0, 0)
    group.call(0, ARM, 100, failed=True)
    group.call(1, OTHER, failed=True)
    group.seconds(2)
    assert group.live(1).error_rate > 0
    group.deaf = {0, 1}
    group.seconds(HEARD_MS // 1_000 + 1)
    assert group.live(1).error_rate == 0
    assert group.live(1, OTHER).error_rate > 0
    group.seconds(OPEN_MS // 1_000 + GRACE_MS // 1_000)
    assert group.live(1).half_open  # it rests no longer than it was told


def test_error_rates_are_merged_by_number_of_calls():
    group = Group(0, 0)
    group.call(0, ARM, 90, failed=False)
    group.call(1, ARM, 4, failed=True)
    alone = Health()
    for _ in range(4):
        alone.observe(ARM, T0, failed=True)
    publish(alone, T0)
    group.seconds(2)
    assert alone.table[ARM].error_rate > ERROR_ONE // 4
    assert 0 <= group.live(0).error_rate == group.live(1).error_rate <= ERROR_ONE // 32


def test_first_token_times_are_merged_by_number_of_calls_of_those_who_measured():
    group = Group(0, 0, 0)
    group.call(0, ARM, 30, failed=False, ttft_ms=900.0)
    group.call(1, ARM, 10, failed=False, ttft_ms=100.0)
    group.call(2, ARM, 50, failed=False)
    group.seconds(2)
    assert [group.live(who).ttft_ms for who in range(3)] == [700] * 3


def test_without_others_nothing_changes():
    alone, listening = Health(), Health()
    rng = random.Random(402)
    for k in range(300):
        now, failed = T0 + 200 * k, rng.random() < 0.4
        for health in (alone, listening):
            health.observe(ARM, now, failed=failed, ttft_ms=None if failed else 80.0)
        if k % 5 == 0:
            hear(listening, [], now, KNOWN)
            assert publish(alone, now) == publish(listening, now)


def test_arms_of_another_snapshot_are_passed_over():
    told = Told(VERSION, [ArmTold("gone/m", 5, 1_000, 80, 0, 0, 5_000)], [ProviderTold("gone", 0, 9_000)])
    health = Health()
    hear(health, [(0, told)], T0, KNOWN)
    assert publish(health, T0) is None


def test_news_waits_for_no_look_but_for_the_second_between_deltas():
    health = Health()
    health.observe(OTHER, T0, failed=True)
    publish(health, T0)
    assert publish(health, T0 + 1_500) is None  # looked, and nothing moved
    told = Told(VERSION, [ArmTold(ARM, 5, 900, 0, NEVER, 0, 9_000)], [])
    hear(health, [(0, told)], T0 + 1_600, KNOWN)
    assert publish(health, T0 + 1_600)[ARM].open_circuit
    hear(health, [(0, Told(VERSION, [ArmTold(SIBLING, 5, 900, 0, NEVER, 0, 9_000)], []))], T0 + 1_700, KNOWN)
    assert health.due(T0 + 1_700) is None
    assert health.due(T0 + 1_600 + PUBLISH_MS) is not None


def test_a_word_is_bounded_and_tells_of_open_breakers_first():
    health = Health()
    for k in range(300):
        arm = f"provider-{k % 7}/a-model-with-quite-a-long-name-{k:03d}"
        for _ in range(OPEN_AFTER if k >= 290 else 1 + k % 9):
            health.observe(arm, T0, failed=k >= 290, ttft_ms=None if k >= 290 else 300.0)
    told = health.told(T0)
    assert len(told.arms) == MAX_ARMS
    assert [one.opened_ago_ms for one in told.arms].count(0) == 10
    assert all(one.opened_ago_ms == 0 for one in told.arms[:10])
    assert len(encode(told)) < MAX_BYTES / 2


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x93\x02\x90\x90", b"\x93\x01\x90", b"x" * (MAX_BYTES + 1), b'{"version": 1}']
)
def test_what_is_no_word_of_this_version_is_passed_over(data):
    assert decode(data) is None


numbers = st.integers(-(2**40), 2**40)


@given(
    st.lists(
        st.tuples(
            st.integers(-5_000, 20_000),
            st.builds(
                Told,
                st.just(VERSION),
                st.lists(st.builds(ArmTold, st.sampled_from([*KNOWN, "no/m"]), *[numbers] * 6), max_size=5),
                st.lists(
                    st.builds(ProviderTold, st.sampled_from(["a", "b", "no"]), *[numbers] * 2), max_size=3
                ),
            ),
        ),
        max_size=6,
    ),
    st.integers(-100_000, 100_000),
)
def test_whatever_is_told_columns_stay_within_bounds_and_no_rest_is_longer_than_a_minute(words, later_ms):
    health = Health()
    health.observe(ARM, T0, failed=True)
    hear(health, words, T0)
    assert set(gather(words, T0, KNOWN)) <= set(KNOWN)
    publish(health, T0 + later_ms)
    publish(health, T0 + abs(later_ms) + 200_000)
    for live in health.table.values():
        assert 0 <= live.error_rate <= ERROR_ONE
        assert live.ttft_ms >= 0
        assert not live.open_circuit or live.half_open


@given(st.permutations(range(4)), st.integers(0, 2**32))
def test_the_order_in_which_others_are_heard_does_not_matter(order, seed):
    rng = random.Random(seed)
    words = []
    for _ in range(4):
        worker = Health()
        for _ in range(rng.randint(0, 30)):
            worker.observe(
                rng.choice(list(KNOWN)), T0 - rng.randint(0, 20_000), failed=rng.random() < 0.6,
                of_provider=rng.random() < 0.3,
            )  # fmt: skip
        words.append((rng.randint(0, 900), worker.told(T0)))
    tables = []
    for heard in (words, [words[k] for k in order]):
        health = Health()
        hear(health, heard, T0, KNOWN)
        publish(health, T0)
        tables.append(health.table)
    assert tables[0] == tables[1]
