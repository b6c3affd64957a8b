"""Failovers are numbers by provider."""

from p402.flow.budget import FLOOR, RetryBudget
from serve.metrics.health import failovers
from serve.metrics.text import exposition


def test_failovers_made_and_denied_are_counted_by_the_provider_that_failed():
    budget = RetryBudget()
    budget.sent("calm")
    while budget.take("acme"):
        pass
    page = exposition(failovers(budget)()).decode()
    assert f'p402_failovers_total{{provider="acme"}} {FLOOR}\n' in page
    assert 'p402_failovers_denied_total{provider="acme"} 1\n' in page
    assert 'p402_failovers_denied_total{provider="calm"} 0\n' in page
    assert "# TYPE p402_failovers_denied_total counter" in page
