"""What a worker's flow knows of its providers, as numbers by series.

It counts nothing itself, and knows nothing of files, ports or Prometheus.
"""

from p402.flow.budget import RetryBudget
from serve.metrics.meter import Source


def failovers(budget: RetryBudget) -> Source:
    """A source of the failovers that were made and denied, by the provider that failed."""

    def collect() -> dict[str, float]:
        found: dict[str, float] = {}
        for provider, (made, denied) in budget.counts().items():
            found[f'p402_failovers_total{{provider="{provider}"}}'] = made
            found[f'p402_failovers_denied_total{{provider="{provider}"}}'] = denied
        return found

    return collect
