"""What an arm's calls say of it: breakers open and close, and nothing is held against it for ever."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from p402.events import ArmLive
from p402.routing.health import (
    COOL_MS,
    ERROR_HALF_MS,
    OPEN_AFTER,
    OPEN_MS,
    PUBLISH_MS,
    TTFT_KEEP_MS,
    Health,
)
from p402.routing.live import ERROR_ONE, LiveState

T0 = 1_800_000_000_000


def publish(health, now_ms):
    """Log and take up what is due; gives it."""
    moved = health.due(now_ms)
    if moved is not None:
        health.publish(moved)
    return moved


def fail(health, times, now_ms=T0, **kw):
    for k in range(times):
        health.observe("a/x", now_ms + k, failed=True, **kw)


def test_a_breaker_opens_after_five_failures_in_a_row_and_not_before():
    health = Health()
    fail(health, OPEN_AFTER - 1)
    assert not publish(health, T0 + 10)["a/x"].open_circuit
    fail(health, 1, T0 + 20)
    assert publish(health, T0 + 10 + PUBLISH_MS)["a/x"].open_circuit


def test_a_success_between_them_starts_the_count_again():
    health = Health()
    for _ in range(10):
        fail(health, OPEN_AFTER - 1)
        health.observe("a/x", T0, failed=False)
    assert not publish(health, T0 + 10)["a/x"].open_circuit


def test_it_is_half_open_when_it_has_rested_and_one_more_failure_has_it_rest_again():
    health = Health()
    fail(health, OPEN_AFTER)
    publish(health, T0 + 10)
    assert not health.table["a/x"].half_open
    later = T0 + 10 + OPEN_MS
    assert publish(health, later)["a/x"].half_open
    fail(health, 1, later + 1)
    moved = publish(health, later + PUBLISH_MS)["a/x"]
    assert (moved.open_circuit, moved.half_open) == (True, False)


def test_a_success_closes_it_at_once():
    health = Health()
    fail(health, OPEN_AFTER)
    publish(health, T0 + 10)
    health.observe("a/x", T0 + 20, failed=False)
    assert not publish(health, T0 + 10 + PUBLISH_MS)["a/x"].open_circuit


def test_retry_after_opens_it_for_that_long_at_the_first_failure():
    health = Health()
    fail(health, 1, retry_after_ms=3_000)
    assert publish(health, T0 + 1)["a/x"].open_circuit
    assert publish(health, T0 + 2_900) is None or health.table["a/x"].open_circuit
    assert publish(health, T0 + 3_900)["a/x"].half_open
    fail(health, 1, T0 + 4_000)  # one failure more is only the second
    publish(health, T0 + 6_000)
    assert health.table["a/x"].half_open


def test_retry_after_is_honoured_up_to_a_minute():
    health = Health()
    fail(health, 1, retry_after_ms=10**9)
    publish(health, T0 + 1)
    publish(health, T0 + COOL_MS - 1)
    assert not health.table["a/x"].half_open
    publish(health, T0 + COOL_MS + PUBLISH_MS)
    assert health.table["a/x"].half_open


def test_a_shorter_wait_does_not_shorten_a_longer_one():
    health = Health()
    fail(health, 1, retry_after_ms=30_000)
    fail(health, 1, T0 + 10, retry_after_ms=1_000)
    publish(health, T0 + 20)
    publish(health, T0 + 20_000)
    assert health.table["a/x"].open_circuit
    assert not health.table["a/x"].half_open


def test_an_error_rate_halves_every_minute_without_calls_until_nothing_is_left():
    health = Health()
    fail(health, 3)
    start = publish(health, T0 + 3)["a/x"].error_rate
    assert start > ERROR_ONE // 5
    now = T0 + 3 + ERROR_HALF_MS
    publish(health, now)
    assert abs(health.table["a/x"].error_rate - start / 2) <= ERROR_ONE // 64
    for _ in range(20):
        now += ERROR_HALF_MS
        publish(health, now)
    assert health.table["a/x"] == ArmLive(open_circuit=False, ttft_ms=0, error_rate=0)
    assert publish(health, now + ERROR_HALF_MS) is None


def test_an_error_rate_settles_where_calls_keep_it():
    health = Health()
    for k in range(2_000):
        health.observe("a/x", T0 + 50 * k, failed=k % 4 == 0)
    publish(health, T0 + 100_000)
    assert 0.15 < health.table["a/x"].error_rate / ERROR_ONE < 0.35


def test_a_time_to_first_token_is_a_decayed_median_in_coarse_steps():
    health = Health()
    for k in range(50):
        health.observe("a/x", T0 + k, failed=False, ttft_ms=100.0 if k % 2 else 140.0)
    publish(health, T0 + 100)
    assert health.table["a/x"].ttft_ms in (100, 125)
    health.observe("b/y", T0 + 200, failed=False, ttft_ms=0.0)
    publish(health, T0 + 100 + PUBLISH_MS)
    assert health.table["b/y"].ttft_ms == 1  # measured is never told as unmeasured


def test_a_measured_time_is_forgotten_when_nobody_measures_it_any_more():
    health = Health()
    health.observe("a/x", T0, failed=False, ttft_ms=4_000.0)
    publish(health, T0 + 1)
    publish(health, T0 + TTFT_KEEP_MS - 1)
    assert health.table["a/x"].ttft_ms == 4_000
    publish(health, T0 + TTFT_KEEP_MS + PUBLISH_MS)
    assert health.table["a/x"].ttft_ms == 0
    health.observe("a/x", T0 + TTFT_KEEP_MS + 5_000, failed=False, ttft_ms=50.0)
    publish(health, T0 + TTFT_KEEP_MS + 6_000)
    assert health.table["a/x"].ttft_ms == 50  # nothing of the old measure is mixed in


def test_a_success_that_was_not_streamed_measures_no_first_token():
    health = Health()
    health.observe("a/x", T0, failed=False)
    assert publish(health, T0 + 1) is None


def test_noise_writes_no_deltas():
    health = Health()
    written = 0
    for k in range(1_000):
        health.observe("a/x", T0 + 100 * k, failed=False, ttft_ms=500.0 + (k * 7 % 11) - 5)
        written += publish(health, T0 + 100 * k) is not None
    assert written <= 2


def test_a_clock_that_is_set_back_neither_silences_deltas_nor_holds_a_breaker_open():
    health = Health()
    fail(health, OPEN_AFTER)
    publish(health, T0 + 10)
    assert health.table["a/x"].open_circuit
    back = T0 - 3_600_000
    moved = publish(health, back)
    assert moved is not None
    assert health.table["a/x"].half_open


def test_what_could_not_be_logged_stays_due_and_uses_no_number():
    health = Health()
    fail(health, 1)
    first = health.due(T0 + 1)
    assert (health.table, health.seq) == ({}, 0)
    assert health.due(T0 + 2) is None  # not at every request
    assert health.due(T0 + 1 + PUBLISH_MS) == first
    health.publish(first)
    assert (health.table, health.seq) == (first, 1)


class Deltas(RuleBasedStateMachine):
    """A worker and a replay of its log: folding the deltas gives the worker's own columns."""

    arms = st.sampled_from(["a/x", "b/y", "c/z"])

    def __init__(self):
        super().__init__()
        self.health, self.now, self.log = Health(), T0, []

    @rule(
        arm=arms,
        failed=st.booleans(),
        ttft=st.none() | st.floats(0, 20_000),
        wait=st.none() | st.integers(0, 10**6),
    )
    def observe(self, arm, failed, ttft, wait):
        self.health.observe(
            arm,
            self.now,
            failed=failed,
            ttft_ms=None if failed else ttft,
            retry_after_ms=wait if failed else None,
        )

    @rule(ms=st.sampled_from([1, 300, 1_000, 11_000, 700_000, -5_000]))
    def pass_time(self, ms):
        self.now += ms

    @rule(disk_full=st.booleans())
    def publish(self, disk_full):
        moved = self.health.due(self.now)
        if moved is None or disk_full:
            return
        self.log.append((self.health.seq + 1, moved))
        self.health.publish(moved)

    @precondition(lambda self: self.log)
    @invariant()
    def folded_deltas_are_the_table(self):
        table = {}
        for number, (seq, moved) in enumerate(self.log, 1):
            assert seq == number
            assert all(table.get(arm) != live for arm, live in moved.items())
            table |= moved
        assert table == self.health.table
        index = {"a/x": 0, "c/z": 1}  # a snapshot without b/y
        live = LiveState.project(self.health.seq, table, index)
        assert live.seq == self.health.seq
        for arm, k in index.items():
            seen = table.get(arm, ArmLive(open_circuit=False, ttft_ms=0, error_rate=0))
            half = live.half_open is not None and live.half_open[k]
            assert (live.open_circuit[k], half, live.ttft_ms[k], live.error_rate[k]) == (
                seen.open_circuit,
                seen.half_open,
                seen.ttft_ms,
                seen.error_rate,
            )

    @invariant()
    def columns_are_within_their_bounds(self):
        for live in self.health.table.values():
            assert 0 <= live.error_rate <= ERROR_ONE
            assert live.error_rate % (ERROR_ONE // 64) == 0
            assert live.ttft_ms >= 0


TestDeltas = Deltas.TestCase


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_an_open_breaker_means_five_failures_in_a_row_or_an_asked_for_wait(outcomes):
    health = Health()
    for failed in outcomes:
        health.observe("a/x", T0, failed=failed)
    publish(health, T0 + 1)
    row = len(outcomes) - max((k for k, failed in enumerate(outcomes) if not failed), default=-1) - 1
    live = health.table.get("a/x")
    assert (live is not None and live.open_circuit) == (row >= OPEN_AFTER)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a/x", "a/y", "b/x"]),
            st.booleans(),
            st.sampled_from([None, 80.0, 900.0]),
            st.sampled_from([None, (900, 150), (150, 150)]),
            st.sampled_from([1, 1_500, 40_000, 700_000]),
        ),
        max_size=40,
    )
)
def test_columns_that_stand_still_need_no_look_to_be_told_right(calls):
    sparing, looking = Health(), Health()
    now_ms = T0
    for arm, failed, ttft_ms, output, pause_ms in calls:
        for health in (sparing, looking):
            health.observe(
                arm,
                now_ms,
                failed=failed,
                ttft_ms=None if failed else ttft_ms,
                output=None if failed else output,
            )
        now_ms += pause_ms
        looking._moving.update(looking._arms)
        assert publish(sparing, now_ms) == publish(looking, now_ms)
    assert sparing.table == looking.table
