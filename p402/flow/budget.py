"""How many failovers a worker may make: a tenth of the calls it sends, and a few to begin with.

Each provider has an account. A call that is sent to it earns a tenth of a failover; a failover away from it
spends a whole one, before the next call is sent. So over any span there are at most `FLOOR` failovers and a
tenth of the calls, whatever fails: when much fails at once the other providers are not sent twice the
traffic, and callers hear the failure at once rather than late. What is not needed is saved up, to `MOST`.

A probe of a half-open breaker fails over for nothing: there is one in ten seconds at most, and its caller
should not pay for having tried. A call that was never sent, since the provider's language cannot say it, goes
elsewhere for nothing and earns nothing. It knows no clock, no chance and no request.

Source: B. Beyer et al., "Site Reliability Engineering", 2016, chapter 21, "Deciding to Retry" (10 % of a
client's requests, 3 attempts each); the account is that of gRPC's retry throttling (gRFC A6) and of the AWS
SDKs' retry quota.
"""

from dataclasses import dataclass, field
from typing import Final

PER_FAILOVER: Final = 10
"""Calls that earn one failover: 10 %."""

FLOOR: Final = 10
"""Failovers that a provider's account holds before any call."""

MOST: Final = 100
"""Failovers that are saved up at most, as 1,000 calls earn them."""


@dataclass(slots=True)
class _Account:
    tenths: int = FLOOR * PER_FAILOVER
    spent: int = 0
    denied: int = 0


@dataclass(slots=True)
class RetryBudget:
    """The accounts of one worker, by provider; they are as many as there are providers."""

    _accounts: dict[str, _Account] = field(default_factory=dict)

    def sent(self, provider: str) -> None:
        """Note a call that is being sent, whether it is a first attempt or not."""
        account = self._of(provider)
        if account.tenths < MOST * PER_FAILOVER:
            account.tenths += 1

    def unsent(self, provider: str) -> None:
        """Undo a `sent`: its language could not say the call."""
        account = self._of(provider)
        account.tenths = max(0, account.tenths - 1)

    def take(self, provider: str) -> bool:
        """Spend one failover away from a provider that failed; False where there is none left."""
        account = self._of(provider)
        if account.tenths < PER_FAILOVER:
            account.denied += 1
            return False
        account.tenths -= PER_FAILOVER
        account.spent += 1
        return True

    def give_back(self, provider: str) -> None:
        """Undo a `take`: no call was sent after all."""
        account = self._of(provider)
        account.tenths += PER_FAILOVER
        account.spent -= 1

    def counts(self) -> dict[str, tuple[int, int]]:
        """Failovers made and denied since the start, by provider that failed; any thread may ask."""
        return {name: (account.spent, account.denied) for name, account in dict(self._accounts).items()}

    def _of(self, provider: str) -> _Account:
        account = self._accounts.get(provider)
        if account is None:
            account = self._accounts[provider] = _Account()
        return account
