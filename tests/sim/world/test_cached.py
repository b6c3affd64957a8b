"""The cache, live in worlds: what hits cost, whose answers they give, which are wrong, and what is logged."""

from contextlib import contextmanager
from hashlib import blake2b
from unittest.mock import patch

import pytest

from p402.ports import Ports
from sim.compare.rounds import run_of, same_traffic
from sim.fit.history import span_of
from sim.fit.judge import fit_and_judge
from sim.fit.report import tables
from sim.replay.verify import verify
from sim.strategies.named import named
from sim.world import presets, run
from sim.world.answers import Answer, answer_of, body_of, first_event, last_event, words_of
from sim.world.chance import Chance
from sim.world.gateway import Gateway
from sim.world.play import play
from sim.world.spec import Arrivals, CacheSpec, Repeats, Sessions, TenantCache
from sim.world.traffic import Traffic
from tests.sim.world.small import a_world, changed

REPEATS = Repeats(share=0.8, questions=10, reworded=0.3, near=0.3, follow_ups=0.6)
ASKED = ("t_ms", "id", "tenant", "session", "task", "mode", "question")


def a_desk(repeats=REPEATS, uses=None, modes=None, **changes):
    """Two tenants of the small world that ask the same questions."""
    usual = changed(
        a_world().tenants[0],
        modes=modes or {"cost": 1.0},
        stream=0.3,
        repeats=repeats,
        cache=uses or TenantCache(),
    )
    tenants = usual, changed(usual, name="lab")
    return a_world(**{"tenants": tenants, "arrivals": Arrivals(per_hour=300), **changes})


def played(spec, strategy=None, seed=1, **options):
    return run(spec, strategy or Gateway(), seed, **options).to_pylist()


def hits_of(rows):
    return [row for row in rows if row["cached"]]


@contextmanager
def without_guards():
    """Every prompt above the cosine is given: what the guards are there to stop."""
    with patch("p402.cache.shelf.disagreement", lambda _asked, _kept: None):
        yield


@pytest.fixture(scope="module")
def rows():
    return played(a_desk())


@pytest.fixture(scope="module")
def unguarded():
    with without_guards():
        return played(a_desk())


def test_p11_a_hit_costs_nothing_calls_nobody_and_is_no_round(rows):
    hits = hits_of(rows)
    assert len(hits) > 50
    for row in hits:
        assert (row["status"], row["cost_nano"], row["attempts"], row["regret"]) == ("ok", 0, 0, 0.0)
        assert all(row[name] is None for name in ("arm", "propensity", "value", "best", "code"))
        assert row["direct_nano"] > 0
        assert row["latency_ms"] == row["ttfb_ms"] == 0.0
    for row in rows:
        if not row["cached"]:
            assert (row["similarity"], row["entry"], row["wrong"]) == (None, None, False)


def test_p11_an_answer_of_another_tenant_is_never_given(rows, unguarded):
    for made in (rows, unguarded):
        by_id = {row["id"]: row for row in made}
        assert {row["tenant"] for row in hits_of(made)} == {"shop", "lab"}
        for row in hits_of(made):
            kept = by_id[row["entry"]]
            assert kept["tenant"] == row["tenant"]
            assert not kept["cached"]
            assert kept["served"] == row["served"]
            assert kept["t_ms"] + kept["latency_ms"] <= row["t_ms"] + 1


def test_p11_an_expired_answer_is_not_given():
    made = played(a_desk(uses=TenantCache(ttl_s=600)))
    by_id = {row["id"]: row for row in made}
    ages = [
        row["t_ms"] - by_id[row["entry"]]["t_ms"] - by_id[row["entry"]]["latency_ms"] for row in hits_of(made)
    ]
    assert 300_000 < max(ages) < 600_000
    assert len(ages) < len(hits_of(played(a_desk())))


def test_p11_a_wrong_hit_has_quality_0_and_a_right_one_that_of_the_kept_answer(unguarded):
    by_id = {row["id"]: row for row in unguarded}
    wrong = [row for row in hits_of(unguarded) if row["wrong"]]
    right = [row for row in hits_of(unguarded) if not row["wrong"]]
    assert wrong
    assert len(right) > 50
    for row in wrong:
        assert by_id[row["entry"]]["question"] != row["question"]
        assert row["quality"] == 0.0
        assert 0.92 < row["similarity"] < 1.0
    for row in right:
        assert by_id[row["entry"]]["question"] == row["question"]
        assert row["quality"] == by_id[row["entry"]]["quality"]


def test_p11_guards_give_fewer_wrong_answers_than_the_cosine_alone(rows, unguarded):
    assert sum(row["wrong"] for row in rows) < sum(row["wrong"] for row in unguarded)


def test_p11_conversations_meet_only_where_all_that_was_said_is_equal(unguarded):
    by_id = {row["id"]: row for row in unguarded}
    sessions = {}
    for row in unguarded:
        sessions.setdefault(row["session"], []).append(row)
    later = [row for row in hits_of(unguarded) if ">" in (row["question"] or "")]
    assert later
    for row in later:
        assert (row["similarity"], row["wrong"]) == (1.0, False)
        ours, theirs = (sessions[r["session"]] for r in (row, by_id[row["entry"]]))
        for mine, other in zip(ours[: ours.index(row)], theirs, strict=False):
            assert mine["question"] == other["question"]
            told = [one["entry"] or one["id"] for one in (mine, other)]
            assert told[0] == told[1]


def test_p11_without_an_embedder_only_exact_repeats_are_found():
    with without_guards():
        hits = hits_of(played(a_desk(cache=CacheSpec(compares=False))))
    assert hits
    assert {row["similarity"] for row in hits} == {1.0}
    assert not any(row["wrong"] for row in hits)


def test_p11_other_modes_use_the_cache_where_requests_ask_for_it():
    assert not hits_of(played(a_desk(modes={"balanced": 1.0})))
    asking = played(a_desk(modes={"balanced": 1.0}, uses=TenantCache(asks=0.7)))
    assert 10 < len(hits_of(asking)) < len(hits_of(played(a_desk())))
    assert not hits_of(played(a_desk(uses=TenantCache(in_cost_mode=False))))


def test_p11_hits_take_of_the_rate_and_are_refused_beyond_it():
    desk = a_desk()
    tight = tuple(changed(tenant, requests_per_hour=40) for tenant in desk.tenants)
    made = played(changed(desk, tenants=tight))
    assert {row["code"] for row in made if row["status"] == "refused"} == {"RATE_LIMIT_EXCEEDED"}
    for name in ("shop", "lab"):
        given = sum(row["tenant"] == name and row["status"] == "ok" for row in made)
        assert given <= 40 + 2 * 40 + 5


def test_every_strategy_meets_the_same_requests_whatever_was_kept():
    spec = a_desk(hours=1)
    with without_guards():
        tables = [run(spec, named(name)(), 2) for name in ("cheapest", "random")]
    asked = [[table.column(name).to_pylist() for name in ASKED] for table in tables]
    assert asked[0] == asked[1]
    same_traffic(*(run_of(table, str(k), 2) for k, table in enumerate(tables)))
    without = changed(
        spec, tenants=tuple(changed(t, cache=TenantCache(in_cost_mode=False)) for t in spec.tenants)
    )
    off = run(without, named("random")(), 2)
    assert [off.column(name).to_pylist() for name in ASKED] == asked[0]
    assert not any(off.column("cached").to_pylist())


@pytest.mark.parametrize("name", ["gateway", "p402"])
def test_a_world_with_hits_is_the_same_to_the_bit(name):
    made = [run(a_desk(hours=1), Gateway() if name == "gateway" else named(name)(), 5) for _ in range(2)]
    assert any(made[0].column("cached").to_pylist())
    assert made[0].equals(made[1])


def test_what_all_ask_is_as_hard_and_as_long_for_all_of_them():
    spec = a_desk(Repeats(share=1.0, questions=3, reworded=0.5), sessions=Sessions())
    by_question = {}
    for asked in Traffic(spec, Chance(1), 200):
        by_question.setdefault(asked.question, set()).add((asked.difficulty, asked.length, asked.tokens))
    assert len(by_question) > 5
    assert all(len(found) == 1 for found in by_question.values())


def test_more_popular_questions_are_asked_more():
    spec = a_desk(Repeats(share=1.0, questions=10, zipf=1.5, near=0.0), sessions=Sessions(), hours=6)
    counts = {}
    for row in played(spec):
        counts[row["question"]] = counts.get(row["question"], 0) + 1
    assert counts["chat.0"] > counts["chat.2"] > counts["chat.8"]


def test_memory_is_bounded_by_entries_and_by_what_is_under_way():
    spec = a_desk(cache=CacheSpec(entries=20))
    done = play(spec, Gateway(), 1, lambda _batch: None)
    assert all(len(kept.kept) <= 20 for kept in done.cache._shelf._tenants.values())
    assert len(done.talks) == 0
    assert not done.under_way
    assert len(done.embedder._known) <= 2 * 10 * 4 * 4
    assert len(hits_of(played(spec))) < len(hits_of(played(a_desk())))


@pytest.mark.parametrize("name", ["day", "calm", "storm"])
def test_worlds_that_repeat_nothing_have_no_hit(name):
    made = played(presets[name], rounds=400)
    assert not hits_of(made)
    assert {row["question"] for row in made} == {None}


def test_p20_a_log_with_hits_replays_without_a_mismatch_and_hits_are_no_rounds(tmp_path):
    log, store = tmp_path / "log", tmp_path / "store"
    table = run(changed(presets["repeats"], workers=2), Gateway(), 3, log, store, rounds=800)
    made = table.to_pylist()
    found = verify(log, store, lambda _done, _all: None)
    assert found.ok
    assert (found.mismatched, found.unended) == (0, 0)
    assert found.decisions == sum(row["arm"] is not None for row in made)
    assert span_of(log).hits == len(hits_of(made)) > 50
    assert table.equals(run(changed(presets["repeats"], workers=2), Gateway(), 3, rounds=800))
    fitted = fit_and_judge(log, store, holdout_h=0.0)
    assert fitted.rounds == found.decisions
    assert fitted.hits == len(hits_of(made))
    told = " ".join(line for line in tables(fitted) if isinstance(line, str))
    assert f"{fitted.hits:,} requests of the log were answered from a cache" in told
    again = run(fitted.fitted.spec, Gateway(), 1, rounds=200)
    assert not any(again.column("cached").to_pylist())


def test_a_strategy_is_handed_no_hit():
    heard = []

    class Listens:
        name = "listens"
        decide = staticmethod(named("random")().decide)

        def begin(self, snapshot):
            return snapshot

        def learn(self, rounds, now_ms):
            heard.extend(tuple(key) for key in rounds.contexts.key.tolist())

    made = {row["id"]: row for row in played(a_desk(hours=4, matures_s=600), Listens())}
    told = [made[f"req_{high:016x}{low:016x}"] for high, low in heard]
    assert len(hits_of(made.values())) > 100
    assert len(told) > 300
    assert not hits_of(told)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("question", ["chat.1-number>Why is that so?", None])
def test_an_answer_says_what_it_is_worth_whole_or_streamed(whole, question):
    answer = Answer("req_1", 'aspen/a"b\\', question, 0.1 + 0.2)
    assert answer_of(words_of(body_of(answer, whole=whole))) == answer
    assert answer_of(words_of(None, [first_event(answer), last_event(whole=whole)])) == answer


def test_words_of_something_else_are_refused():
    with pytest.raises(ValueError, match="expected one that"):
        answer_of("Hello.")


BEFORE = {
    "day": "39677990dd18a5ff",
    "calm": "3e3d320c2545082e",
    "storm": "17f6251e95565051",
}
"""Digests of 300 requests of seed 3 as they were before worlds had a cache (2026-11-26)."""

KNOWN_THEN = (
    *("t_ms", "id", "tenant", "session", "task", "mode", "arm", "served", "status", "code", "attempts"),
    *(
        "cost_nano",
        "direct_nano",
        "latency_ms",
        "ttfb_ms",
        "quality",
        "value",
        "best",
        "regret",
        "propensity",
    ),
)


@pytest.mark.parametrize("name", BEFORE)
def test_worlds_that_repeat_nothing_are_as_they_were_before_there_was_a_cache(name):
    rows = run(presets[name], Gateway(), 3, rounds=300).select(KNOWN_THEN).to_pylist()
    plain = [[f"{v:.9g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    assert blake2b(repr(plain).encode(), digest_size=8).hexdigest() == BEFORE[name]


@pytest.mark.parametrize("name", ["calm", "storm"])
def test_where_nothing_repeats_the_log_is_the_same_with_a_cache_and_without(name, tmp_path, monkeypatch):
    def lines(where):
        run(presets[name], Gateway(), 4, tmp_path / where / "log", tmp_path / where / "store", rounds=300)
        files = sorted((tmp_path / where / "log").rglob("*.jsonl"))
        return sorted(line for file in files for line in file.read_bytes().splitlines())

    def without(*hands, **more):
        return Ports(*hands, **{**more, "cache": None})

    live = lines("live")
    monkeypatch.setattr("sim.world.play.Ports", without)
    assert lines("without") == live
    assert len(live) > 600
