"""What a map over partitions does on whatever workers it runs."""

import os
from functools import partial

import numpy as np
import pytest

from sim.spread.contract import WorkerDied
from sim.spread.kept import Kept
from sim.spread.spread import spread
from sim.spread.team import Team
from tests.sim.spread import work


def kept_in(folder, n, question="q"):
    return Kept(folder, question, [f"digest of {x}" for x in range(n)], work.Plain())


def test_results_come_in_the_order_of_their_partitions(workers):
    assert list(spread(work.square, range(20), workers)) == [x * x for x in range(20)]
    assert list(spread(work.slow_first, range(6), workers)) == list(range(6))


def test_a_team_goes_from_one_map_to_the_next(workers, tmp_path):
    with Team(workers) as team:
        team.warm(work.square)
        assert list(spread(work.square, range(6), team)) == [x * x for x in range(6)]
        first = set(spread(work.pid, range(6), team))
        function = partial(work.worked, str(tmp_path))
        assert [x[0] for x in spread(function, range(3), team)] == [0.0, 1 / 7, 2 / 7]
        with pytest.raises(ValueError, match="3 is refused"):
            list(spread(work.refused, range(9), team))
        assert list(spread(work.square, range(6), team)) == [x * x for x in range(6)]
        assert len(first) <= 2


def test_no_partitions_give_no_results(workers):
    assert list(spread(work.square, [], workers)) == []


def test_what_was_done_is_not_done_again(workers, tmp_path):
    function = partial(work.worked, str(tmp_path))
    first = list(spread(function, range(5), workers, kept=kept_in(tmp_path / "kept", 5)))
    again = list(spread(function, range(5), workers, kept=kept_in(tmp_path / "kept", 5)))
    for one, two in zip(first, again, strict=True):
        assert one.tobytes() == two.tobytes()
    assert [(tmp_path / f"{x}").read_text().count("\n") for x in range(5)] == [1] * 5
    other = kept_in(tmp_path / "kept", 5, "another question")
    list(spread(function, range(5), workers, kept=other))
    assert [(tmp_path / f"{x}").read_text().count("\n") for x in range(5)] == [2] * 5


def test_a_run_that_was_left_goes_on_where_it_was(workers, tmp_path):
    function = partial(work.worked, str(tmp_path))
    run = spread(function, range(8), workers, kept=kept_in(tmp_path / "kept", 8))
    assert [next(run)[0], next(run)[0]] == [0.0, 1 / 7]
    run.close()
    found = list(spread(function, range(8), workers, kept=kept_in(tmp_path / "kept", 8)))
    assert [x[0] for x in found] == [x / 7 for x in range(8)]
    assert all((tmp_path / f"{x}").read_text().count("\n") == 1 for x in range(2))


def test_progress_counts_partitions_by_their_size(workers, tmp_path):
    seen = []
    sizes = [5, 1, 4]
    list(spread(work.square, range(3), workers, sizes=sizes, progress=lambda *now: seen.append(now)))
    assert seen[0] == (0, 10)
    assert seen[-1] == (10, 10)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    with pytest.raises(ValueError, match="2 sizes of 3 partitions"):
        list(spread(work.square, range(3), workers, sizes=[1, 2]))


def test_an_error_comes_out_with_its_partition_and_keeps_what_was_done(workers, tmp_path):
    kept = kept_in(tmp_path / "kept", 6)
    with pytest.raises(ValueError, match="3 is refused") as caught:
        list(spread(work.refused, range(6), workers, kept=kept))
    assert any("partition 4 of 6 (3)" in note for note in caught.value.__notes__)
    assert sum(kept.path(x).exists() for x in range(3)) >= 2  # the third may have been under way


def test_a_worker_that_is_killed_is_reported_and_its_partition_done_once_more(others, tmp_path):
    said = []
    function = partial(work.killed_once, str(tmp_path))
    found = list(spread(function, range(5), others, report=said.append))
    assert found == [100, 101, 102, 103, 104]
    assert len(said) == 1
    assert "partition 3 of 5 (2) died" in said[0]


def test_a_partition_that_kills_twice_ends_the_run_and_says_which_it_was(others, tmp_path):
    function = partial(work.killed_always, str(tmp_path))
    kept = kept_in(tmp_path / "kept", 5)
    with pytest.raises(WorkerDied, match=r"partition 3 of 5 \(2\) died 2 times.*kept in"):
        list(spread(function, range(5), others, kept=kept, report=lambda _: None))
    assert (tmp_path / "deaths").read_text() == "xx"
    assert kept.path(0).exists()


def test_an_error_that_cannot_be_sent_still_says_what_it_was(others):
    with pytest.raises(Exception, match="one and two"):
        list(spread(work.refused_oddly, range(2), others))


def test_workers_are_other_processes_of_one_thread_each(others):
    assert os.getpid() not in set(spread(work.pid, range(4), others))
    assert set(spread(work.threads, range(2), others)) == {"1"}


def test_all_workers_give_the_same_bits(others, tmp_path):
    function = partial(work.worked, str(tmp_path))
    ours = [x.tobytes() for x in spread(function, range(7))]
    assert [np.asarray(x).tobytes() for x in spread(function, range(7), others)] == ours
