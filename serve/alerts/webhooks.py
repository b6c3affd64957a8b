"""The gateway's hand of the `Alerts` port: each tenant's alerts, posted to the webhook of its operator.

`tell` costs the request a few microseconds; the rest is done by timers and tasks of the worker's event loop,
a few posts at a time. An alert is delivered at least once or counted as dropped: a receiver that answered
2xx too late sees it again, under the same id.

Failure contract: a receiver that refuses, is slow, redirects or is not there fails its own alerts
alone, is told of once on stderr, and is tried again (`serve.alerts.outbox`). No request waits for it. What is
lost is counted by reason, and stands in the log in any case.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import certifi

from p402.guard.daily import day_of
from p402.ports import Alert, CapReached, Clock
from p402.settings import Secret, TenantSettings
from serve.alerts.letter import body_of, id_of, signature
from serve.alerts.outbox import Letter, Outbox
from serve.alerts.post import post

AT_ONCE: Final = 16
"""Posts under way in one worker."""
WITHIN_S: Final = 10.0
"""A receiver must answer within this."""
STOP_S: Final = 3.0
"""What a stop gives to the last try of everything undelivered."""
_DROPS: Final = ("full", "gave_up", "stopped")

_log = logging.getLogger("p402.alerts")


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where one tenant's alerts go, and the secret that signs them, if any."""

    url: Secret
    secret: Secret | None

    @property
    def place(self) -> str:
        """Host and port: a path may be a secret."""
        return urlsplit(self.url.reveal()).netloc


def webhooks(tenants: Mapping[str, TenantSettings]) -> dict[str, Webhook]:
    """The webhook of each tenant that has one."""
    return {
        name: Webhook(tenant.alert_webhook, tenant.alert_secret)
        for name, tenant in tenants.items()
        if tenant.alert_webhook is not None
    }


class Webhooks:
    """Alerts of one worker. `tell` and `close` are called on its event loop.

    Parameters
    ----------
    targets
        By tenant; alerts of any other tenant are let go.
    """

    def __init__(self, targets: Mapping[str, Webhook], clock: Clock) -> None:
        self._targets = targets
        self._clock = clock
        self._outbox = Outbox()
        secure = any(urlsplit(t.url.reveal()).scheme == "https" for t in targets.values())
        self._tls = ssl.create_default_context(cafile=certifi.where()) if secure else None
        self._posting: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._capped: dict[str, int] = {}
        self._failing: set[str] = set()
        self._closing = False
        self._delivered = self._failed = 0
        self._dropped = dict.fromkeys(_DROPS, 0)

    def tell(self, alert: Alert) -> None:
        """Take note of one alert; a day's cap only once."""
        if alert.tenant not in self._targets:
            return
        if isinstance(alert, CapReached):
            day = day_of(alert.ts_ms)
            if self._capped.get(alert.tenant) == day:
                return
            self._capped[alert.tenant] = day
        if self._closing:
            self._dropped["stopped"] += 1
            return
        self._outbox.put(alert, self._clock.monotonic_ms())
        self._look_after(0.0)

    def collect(self) -> dict[str, float]:
        """What has become of alerts so far, by name of metric."""
        box = self._outbox
        dropped = {**self._dropped, "full": box.overflowed}
        return {
            "p402_alerts_queued_total": box.begun,
            "p402_alerts_folded_total": box.folded,
            "p402_alerts_delivered_total": self._delivered,
            "p402_alerts_failed_tries_total": self._failed,
            **{f'p402_alerts_dropped_total{{reason="{why}"}}': n for why, n in dropped.items()},
            "p402_alerts_waiting": box.waiting,
        }

    async def close(self) -> None:
        """Try everything undelivered once more, for `STOP_S` at most, and let the rest go; idempotent."""
        if self._closing:
            return
        self._closing = True
        self._outbox.hurry()
        loop = asyncio.get_running_loop()
        end = loop.time() + STOP_S
        while self._outbox.waiting and (left := end - loop.time()) > 0:
            self._look()
            if not self._posting:
                break
            await asyncio.wait(self._posting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if self._timer is not None:
            self._timer.cancel()
        for task in self._posting:
            task.cancel()
        await asyncio.gather(*self._posting, return_exceptions=True)
        self._dropped["stopped"] += self._outbox.waiting
        lost = self._dropped["stopped"]
        if lost:
            _log.error("%d alerts were undelivered at the stop; the log has what they told of", lost)

    def _look_after(self, seconds: float) -> None:
        """Look at the outbox then, and not at the time that was meant before."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # an exchange that ends without a loop: the next look takes its alert along
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """Post what is due; come again when the next is, or when a post has ended."""
        while len(self._posting) < AT_ONCE:
            letter = self._outbox.take(self._clock.monotonic_ms())
            if letter is None:
                break
            task = asyncio.get_running_loop().create_task(self._post(letter), name="alert")
            self._posting.add(task)
            task.add_done_callback(self._posted)
        due = self._outbox.next_ms() if len(self._posting) < AT_ONCE else None
        if due is not None:
            self._look_after(max(0.001, (due - self._clock.monotonic_ms()) / 1_000))

    def _posted(self, task: asyncio.Task[None]) -> None:
        self._posting.discard(task)
        if not self._closing:
            self._look_after(0.0)

    async def _post(self, letter: Letter) -> None:
        target = self._targets[letter.alert.tenant]
        try:
            said = await self._said(target, letter)
        except Exception as error:  # noqa: BLE001 - a failed try: the letter must not stay under way
            _log.exception("an alert of tenant %s could not be posted", letter.alert.tenant)
            said = type(error).__name__
        if isinstance(said, int) and 200 <= said < 300:
            self._failing.discard(letter.alert.tenant)
            self._outbox.delivered(letter)
            self._delivered += 1
            return
        self._failed += 1
        chance = (self._clock.random_bits() & 0xFFFF) / 0x10000
        again = self._outbox.failed(letter, self._clock.monotonic_ms(), chance)
        if not again:
            self._dropped["stopped" if self._closing else "gave_up"] += 1
        self._report(target, letter, said, again=again)

    async def _said(self, target: Webhook, letter: Letter) -> int | str:
        body = body_of(letter.alert, letter.folded)
        headers = {"content-type": "application/json", "user-agent": "p402", "connection": "close"}
        if target.secret is not None:
            headers["x-p402-signature"] = signature(target.secret, body, self._clock.now_ms() // 1_000)
        return await post(target.url.reveal(), headers, body, id_of(letter.alert), self._tls, WITHIN_S)

    def _report(self, target: Webhook, letter: Letter, said: int | str, *, again: bool) -> None:
        """Say what is wrong with a receiver when it begins, and of each alert that is given up."""
        tenant = letter.alert.tenant
        what = f"answered {said}" if isinstance(said, int) else f"gave no answer ({said})"
        if not again:
            _log.error("alert %s: %s %s; given up", id_of(letter.alert), target.place, what)
        elif tenant not in self._failing:
            _log.warning(
                "alerts of tenant %s: %s %s, expected 2xx; they are tried again", tenant, target.place, what
            )
        self._failing |= {tenant}
