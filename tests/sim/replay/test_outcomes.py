"""P20: what an outcome tells is what was chosen, attempt by attempt, or the log does not verify."""

import json

import msgspec
import pytest

from p402.ports import Completion, Usage
from p402.store.compactor import compact
from p402.store.reader import connect
from sim.replay.borne import KINDS, borne
from sim.replay.command import main
from sim.replay.outcomes import MISBILLED, NO_CHOICE, NO_DECISION, OTHER_ARM, outcomes_of
from sim.replay.source import partitions
from sim.replay.verify import verify


def verified(house):
    """What is found by column, held to what one join over the whole log finds."""
    result = verify(house.log, house.store, lambda _done, _total: None)
    with connect(house.log) as con:
        every = outcomes_of(con)
    assert (result.outcomes, result.unended, result.strays) == (every.rows, every.unended, every.unfounded)
    assert {fault.what: fault.rows for fault in result.faults if fault.what in every.faults} == every.faults
    assert result.unfounded == sum(every.faults.values())
    return result


def said(house, capsys, status):
    """What `p402 replay --verify` printed, words in one line."""
    assert main(["--verify", "--log", str(house.log), "--store", str(house.store)]) == status
    return " ".join(capsys.readouterr().out.split())


def one(house, query):
    with connect(house.log) as con:
        return con.execute(query).fetchone()


def faults(result):
    return {fault.what: fault.rows for fault in result.faults}


def test_every_outcome_of_real_traffic_is_borne_out(busy):
    result = verified(busy)
    outcomes, failovers, elsewhere = one(
        busy,
        """SELECT (SELECT count(*) FROM outcomes),
                  (SELECT count(*) FROM outcomes WHERE len(attempts) = 3),
                  (SELECT count(*) FROM rounds WHERE observe AND attempts[1].arm <> arm)""",
    )
    assert result.ok, result.faults
    assert (result.outcomes, result.unfounded, result.unended) == (outcomes, 0, 0)
    assert min(outcomes - 300, failovers, elsewhere) > 0


def test_p20_dropped_failover_choices_fail(busy, edit, capsys):
    dropped = edit(busy.log, lambda e: None if e["kind"] == "attempt" and e["attempt"] > 0 else e)
    rounds = one(busy, "SELECT count(*) FROM outcomes WHERE len(attempts) > 1")[0]
    assert dropped > rounds > 0
    result = verified(busy)
    assert not result.ok
    assert result.mismatched == 0
    assert faults(result) == {NO_CHOICE: rounds}
    assert result.unfounded == result.unverified == rounds
    assert {stray.attempt for stray in result.strays} == {1}
    assert {stray.chosen for stray in result.strays} == {None}
    text = said(busy, capsys, 1)
    assert result.strays[0].id in text
    assert f"{rounds} rows: {NO_CHOICE}" in text
    assert f"{rounds} of {result.outcomes} outcomes are not borne out" in text


def test_p20_dropped_decisions_fail(busy, edit, capsys):
    gone = []

    def drop(event):
        if event["kind"] == "decision" and len(gone) < 7:
            gone.append(event["id"])
            return None
        return event

    edit(busy.log, drop)
    result = verified(busy)
    assert not result.ok
    assert faults(result) == {NO_DECISION: 7}
    assert [(stray.id, stray.attempt) for stray in result.strays] == [(made, None) for made in sorted(gone)]
    text = said(busy, capsys, 1)
    assert all(made in text for made in gone)
    assert "no decision" in text
    assert "restore the segment or Parquet file" in text


@pytest.mark.parametrize("attempt", [0, 1, 2])
def test_p20_an_attempt_at_another_arm_than_was_chosen_fails(busy, edit, capsys, attempt):
    changed = []

    def change(event):
        if event["kind"] == "outcome" and len(event["attempts"]) > attempt and not changed:
            changed.append((event["id"], attempt, "fir/none", event["attempts"][attempt]["arm"]))
            event["attempts"][attempt]["arm"] = "fir/none"
        return event

    assert edit(busy.log, change) == 1
    result = verified(busy)
    assert faults(result) == {OTHER_ARM: 1}
    assert [(s.id, s.attempt, s.called, s.chosen) for s in result.strays] == changed
    text = said(busy, capsys, 1)
    assert all(str(part) in text for part in changed[0])


@pytest.mark.parametrize(
    "lie",
    [
        lambda o: o.update(cost_nano=o["cost_nano"] + 1),
        lambda o: o.update(cost_nano=None),
        lambda o: o.update(arm="fir/none"),
        lambda o: o["attempts"][0].update(output_tokens=o["attempts"][0]["output_tokens"] + 1_000),
        lambda o: o["attempts"][0].update(price_pico=[1, 1, 1]),
        lambda o: o["attempts"].pop(),
    ],
    ids=["the sum", "no sum", "the arm that served", "tokens", "prices", "an attempt less"],
)
def test_p20_an_outcome_whose_money_or_arm_contradicts_its_attempts_fails(busy, edit, capsys, lie):
    changed = []

    def change(event):
        attempts = event.get("attempts", [])
        if event["kind"] == "outcome" and not changed and attempts and attempts[0].get("output_tokens"):
            changed.append(event["id"])
            lie(event)
        return event

    assert edit(busy.log, change) == 1
    result = verified(busy)
    assert faults(result) == {MISBILLED: 1}
    assert [stray.id for stray in result.strays] == changed
    assert changed[0] in said(busy, capsys, 1)


def test_p20_an_observed_round_answers_to_the_call_and_not_to_what_was_watched(busy, edit):
    """Its decision is only what P402 would have taken."""
    changed = []

    def change(event):
        if event["kind"] == "decision" and event["observe"]:
            changed.append((event["id"], event["arm"]))
        elif event["kind"] == "outcome" and changed and event["id"] == changed[-1][0]:
            event["attempts"][0]["arm"] = changed[-1][1]
        return event

    differing = edit(busy.log, change)
    assert faults(verified(busy)) == {OTHER_ARM: differing}
    assert differing > 0


def test_p20_an_observed_round_whose_call_was_not_logged_fails(busy, edit):
    dropped = edit(busy.log, lambda e: None if e["kind"] == "attempt" and e["attempt"] == 0 else e)
    assert dropped > 0
    assert faults(verified(busy)) == {NO_CHOICE: dropped}


def test_p20_an_outcome_under_another_tenant_has_no_decision(busy, edit):
    changed = []

    def change(event):
        if event["kind"] == "outcome" and not changed:
            changed.append(event["id"])
            event["tenant"] = "other"
        return event

    edit(busy.log, change)
    result = verified(busy)
    assert faults(result) == {NO_DECISION: 1}
    assert [(stray.id, stray.tenant) for stray in result.strays] == [(changed[0], "other")]
    assert result.unended == 1


def test_a_decision_without_an_outcome_is_counted_and_no_fault(busy, edit, capsys):
    """A process that dies while it waits leaves one, with the failovers it had chosen."""
    kept = []

    def drop(event):
        if event["kind"] == "outcome" and len(event["attempts"]) > 1 and len(kept) < 3:
            kept.append(event["id"])
            return None
        return event

    edit(busy.log, drop)
    result = verified(busy)
    assert result.ok
    assert result.unended == 3
    assert "decisions without an outcome, no fault │ 3" in said(busy, capsys, 0)


def test_a_round_that_ended_before_anything_was_sent_is_no_fault(busy, edit):
    ended = []

    def change(event):
        if event["kind"] == "outcome" and len(event["attempts"]) == 1 and not ended:
            ended.append(event["id"])
            event |= {"attempts": [], "arm": None, "status": "refused", "cost_nano": 0}
        return event

    assert edit(busy.log, change) == 1
    assert verified(busy).ok


def test_words_on_rounds_and_refusals_need_no_decision(busy):
    """A client may post a word on any id; a request that was turned away is no round."""
    stamp = {"v": 1, "ts_ms": 1_795_000_000_000, "tenant": "acme", "status": "accepted", "source": "client"}
    reward = stamp | {"kind": "reward", "id": "req_" + "0" * 32}
    refusal = stamp | {"kind": "refusal", "id": "req_" + "1" * 32, "code": "C", "status": 429, "message": "m"}
    path = max(busy.log.glob("*/*.jsonl"))
    with path.open("ab") as file:
        file.write(b"".join(msgspec.json.encode(event) + b"\n" for event in (reward, refusal)))
    assert one(busy, "SELECT count(*) FROM refusals WHERE code = 'C'") == (1,)
    assert verified(busy).ok


def test_a_log_of_outcomes_alone_is_at_fault_and_not_empty(busy, edit, capsys):
    edit(busy.log, lambda e: None if e["kind"] in {"decision", "attempt"} else e)
    result = verified(busy)
    assert result.rows == 0
    assert faults(result) == {NO_DECISION: result.outcomes}
    assert f"{result.outcomes} of {result.outcomes} outcomes are not borne out" in said(busy, capsys, 1)


def test_every_outcome_at_fault_is_counted_once_and_a_hundred_are_told(busy, edit, monkeypatch):
    def change(event):
        if event["kind"] == "outcome":
            for attempt in event["attempts"]:
                attempt["arm"] = "fir/none"
        return event

    edit(busy.log, change)
    whole = verified(busy)
    assert whole.unfounded == one(busy, "SELECT count(*) FROM outcomes WHERE len(attempts) > 0")[0] > 300
    assert len(whole.strays) == 100
    monkeypatch.setattr("sim.replay.outcomes.CHUNK_ROWS", 7)
    singly = verified(busy)
    assert (singly.unfounded, singly.strays) == (whole.unfounded, whole.strays)


def test_parquet_gives_the_same_verdict_as_segments(busy, edit):
    edit(busy.log, lambda e: None if e["kind"] == "attempt" and e["attempt"] == 2 else e)
    with connect(busy.log) as con:
        from_segments = outcomes_of(con)
    compact(busy.log)
    with connect(busy.log) as con:
        assert outcomes_of(con) == from_segments
    assert from_segments.faults[NO_CHOICE] > 0


@pytest.mark.parametrize("few", [0, 4_000])
@pytest.mark.parametrize("most_rows", [40, 1 << 22])
def test_turns_and_parts_give_the_same_verdict(busy, edit, monkeypatch, few, most_rows):
    edit(busy.log, lambda e: None if e["kind"] == "attempt" and e["attempt"] == 1 else e)
    edit(busy.log, lambda e: None if e["kind"] == "decision" and e["id"].endswith("7") else e)
    edit(busy.log, lambda e: None if e["kind"] == "outcome" and e["id"].endswith("8") else e)
    monkeypatch.setattr("sim.replay.outcomes.FEW", few)
    monkeypatch.setattr("sim.replay.borne.MOST_ROWS", most_rows)
    result = verified(busy)
    assert {fault.what for fault in result.faults} == {NO_CHOICE, NO_DECISION}
    assert result.unended > 0


def test_nothing_is_suspected_of_a_sound_log(busy):
    for _ in range(2):
        found = borne(partitions(busy.log, KINDS))
        assert found.rows > 300
        assert found.suspects == ()
        compact(busy.log)


def test_ids_of_another_form_are_joined_too(busy, edit):
    def change(event):
        if "id" in event and event["id"][-1] in "135":
            event["id"] = ("REQ" if event["id"][-1] == "1" else "trace ") + event["id"][4:].upper()
        elif "id" in event and event["id"][-1] in "ab":
            event["id"] = event["id"].upper().replace("REQ", "req")
        return event

    edit(busy.log, change)
    assert verified(busy).unfounded == 0
    edit(busy.log, lambda e: None if e["kind"] == "decision" and e["id"][:3] == "tra" else e)
    assert {fault.what for fault in verified(busy).faults} == {NO_DECISION}


def test_programs_are_told_the_same(busy, edit, capsys):
    edit(busy.log, lambda e: None if e["kind"] == "attempt" and e["attempt"] > 0 else e)
    assert main(["--verify", "--json", "--log", str(busy.log), "--store", str(busy.store)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert told["unfounded"] == told["unverified"] == told["faults"][0]["rows"] > 0
    assert told["strays"][0].keys() == {"id", "tenant", "attempt", "called", "chosen"}


def test_cache_writes_are_held_to_their_own_prices(house, spec_of, edit):
    base = spec_of()
    prices = base.prices
    writes = msgspec.structs.replace(
        prices,
        cache_write=tuple(p * 5 // 4 for p in prices.input),
        cache_write_1h=tuple(p * 2 for p in prices.input),
    )
    flow = house.worker("w", house.stored(msgspec.structs.replace(base, prices=writes)))
    used = Usage(prompt=100, output=5, cached=20, cache_write=60, cache_write_1h=40)

    async def complete(_call):
        return Completion(b"{}", used)

    house.upstream.complete = complete
    told = [house.ask(flow, mode="cost") for _ in range(3)]
    house.close()
    assert all(m.attempts[0].cache_write_1h_tokens == 40 for m in told)
    assert verified(house).ok

    def fewer(event):
        if event["kind"] == "outcome":
            event["attempts"][0]["cache_write_1h_tokens"] -= 1
        return event

    assert edit(house.log, fewer) == 3
    assert faults(verified(house)) == {MISBILLED: 3}
