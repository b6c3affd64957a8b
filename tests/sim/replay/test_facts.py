"""What a log says of first attempts: read by column, it is what its events say one by one."""

import numpy as np
import pyarrow as pa
import pytest

from p402.events import Outcome
from p402.store.reader import read_events
from sim.replay.facts import Facts
from sim.replay.pieces import pieces_of


@pytest.fixture(scope="module")
def told(busy_once):
    return [event for event in read_events(busy_once.log) if isinstance(event, Outcome)]


def test_lengths_are_those_of_whole_answers_that_their_providers_counted(busy_once, told):
    facts = Facts(*pieces_of(busy_once.log, ("outcome", "reward")))
    ids, tenants = pa.chunked_array([[e.id for e in told]]), pa.chunked_array([[e.tenant for e in told]])
    parts, tokens = facts.with_tokens(ids, tenants)
    wanted = []
    for event in told:
        first = event.attempts[0] if event.attempts else None
        whole = first is not None and first.status == "ok" and not event.usage_estimated
        wanted.append(float(first.output_tokens) if whole else np.nan)
    assert np.array_equal(tokens, np.array(wanted), equal_nan=True)
    assert (~np.isnan(tokens)).sum() > 100
    partial = [e for e in told if e.attempts and e.attempts[0].status != "ok"]
    assert partial, "the busy log has failovers"
    assert np.isnan(tokens[[told.index(e) for e in partial]]).all()
    assert np.array_equal(parts.failed, facts.of(ids, tenants).failed)
