import pyarrow as pa
import pytest

from sim.compare.rounds import NOBODY, SCHEMA, BadRounds, run_of, same_traffic
from tests.sim.compare.made import a_columns, a_run, rounds


def test_rows_are_put_in_order_of_arrival():
    table = rounds("static", 1, 50)
    shuffled = table.take(pa.array(list(reversed(range(50)))))
    assert run_of(shuffled, "static", 1).traffic.equals(run_of(table, "static", 1).traffic)


def test_a_request_without_a_session_stands_alone():
    run = a_run(session=["a", None, "a", None])
    assert run.session[0] == run.session[2]
    assert len(set(run.session.tolist())) == 3


def test_what_is_null_has_a_name_of_its_own():
    assert NOBODY in a_run(arm=["x/m", None, "x/m", "y/m"]).arm.names


@pytest.mark.parametrize("name", SCHEMA.names)
def test_a_missing_column_is_named(name):
    table = pa.table(a_columns()).drop_columns([name])
    with pytest.raises(BadRounds, match=f"no column `{name}`"):
        run_of(table, "mine", 3)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"status": ["ok", "odd", "ok", "ok"]}, "status 'odd'"),
        ({"quality": [0.5, 1.5, 0.5, 0.5]}, "`quality` is 1.5 in row 1"),
        ({"value": [0.5, None, 0.5, 0.5]}, "`value` is nan"),
        ({"regret": [0.0, -0.1, 0.0, 0.0]}, "`regret` is -0.1"),
        ({"regret": [0.0, None, 0.0, 0.0]}, "`regret` is nan"),
        ({"cost_nano": [1, -1, 1, 1]}, "`cost_nano`"),
        ({"latency_ms": [1.0, None, 1.0, 1.0]}, "`latency_ms`"),
        ({"id": ["a", "a", "b", "c"]}, "an id twice"),
        ({"id": ["a", None, "b", "c"]}, "an id twice, or none"),
        ({"t_ms": [1, None, 2, 3]}, "`t_ms` has no value in 1 rows"),
        ({"t_ms": ["one", "two", "three", "four"]}, "expected"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_run(changed, said):
    with pytest.raises(BadRounds, match=said) as error:
        run_of(pa.table(a_columns(**changed)), "mine", 3)
    assert "mine, seed 3" in str(error.value)


def test_a_run_without_requests_is_none():
    with pytest.raises(BadRounds, match="found no request"):
        run_of(rounds("static", 1, 50).slice(0, 0), "static", 1)


def test_two_strategies_meet_the_same_traffic():
    same_traffic(run_of(rounds("static", 1), "static", 1), run_of(rounds("p402", 1), "p402", 1))


@pytest.mark.parametrize("column", ["tenant", "task", "session", "mode"])
def test_traffic_that_depends_on_the_strategy_is_refused(column):
    ours, theirs = a_run(), a_run(**{column: ["other"] * 4})
    with pytest.raises(BadRounds, match=f"requests that differ in `{column}`"):
        same_traffic(ours, theirs)


def test_a_run_that_ended_early_is_no_pair():
    ours, theirs = (run_of(rounds("static", 1, n), "static", 1) for n in (60, 61))
    with pytest.raises(BadRounds, match="60 and 61 requests"):
        same_traffic(ours, theirs)
