"""Alerts over real HTTP: delivered, tried again, folded, given up; and a stop that loses none unsaid."""

import asyncio
import socket
import time

import pytest

from p402.ports import Anomaly, CapReached
from p402.settings import Secret
from serve.alerts import outbox, webhooks
from serve.alerts.webhooks import Webhook, Webhooks
from serve.clock import SystemClock
from tests.serve.receiver import receiving

NOON = 20_700 * 86_400_000 + 43_200_000
SECRET = "whsec-of-the-tests"


def anomaly(number: int = 1, tenant: str = "default") -> Anomaly:
    return Anomaly(tenant, NOON, f"req_{number}", "acme/m", 5_000_000, 4.25, 40)


@pytest.fixture
def hasty(monkeypatch):
    """Tries and letters follow within milliseconds."""
    monkeypatch.setattr(outbox, "FIRST_WAIT_MS", 5)
    monkeypatch.setattr(outbox, "GROWTH", 2)
    monkeypatch.setattr(outbox, "SPACING_MS", 50)


def sender(url: str, *tenants: str, secret: str | None = SECRET) -> Webhooks:
    target = Webhook(Secret(url), None if secret is None else Secret(secret))
    return Webhooks(dict.fromkeys(tenants or ("default",), target), SystemClock())


async def until(alerts: Webhooks, name: str, count: float, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while alerts.collect()[name] < count:
        assert time.monotonic() < deadline, f"{alerts.collect()}, expected {count} of {name}"
        await asyncio.sleep(0.01)


DELIVERED = "p402_alerts_delivered_total"
FAILED = "p402_alerts_failed_tries_total"
WAITING = "p402_alerts_waiting"


def dropped(alerts: Webhooks, why: str) -> float:
    return alerts.collect()[f'p402_alerts_dropped_total{{reason="{why}"}}']


def test_an_alert_is_posted_signed_to_the_whole_url():
    async def run(receiver):
        alerts = sender(f"{receiver.url}/hooks/p402?channel=a&b=%20c")
        alerts.tell(anomaly())
        await until(alerts, DELIVERED, 1)
        await alerts.close()

    with receiving() as receiver:
        asyncio.run(run(receiver))
    (post,) = receiver.posts
    assert post.path == "/hooks/p402?channel=a&b=%20c"
    assert post.headers["content-type"] == "application/json"
    assert post.signed_by(SECRET)
    assert not post.signed_by("another secret")
    assert post.fields["id"] == "ANOMALY_DETECTED:req_1"
    assert (post.fields["z_score"], post.fields["folded"]) == (4.25, 0)


def test_a_url_without_a_path_is_posted_to_its_root_and_without_secret_nothing_is_signed():
    async def run(receiver):
        alerts = sender(receiver.url, secret=None)
        alerts.tell(anomaly())
        await until(alerts, DELIVERED, 1)
        await alerts.close()

    with receiving() as receiver:
        asyncio.run(run(receiver))
    assert receiver.posts[0].path == "/"
    assert "x-p402-signature" not in receiver.posts[0].headers


@pytest.mark.usefixtures("hasty")
def test_what_fails_is_tried_again_under_the_same_id_and_signed_anew(caplog):
    async def run(receiver):
        receiver.answer = lambda number: (500 if number < 4 else 200, {})
        alerts = sender(receiver.url)
        alerts.tell(anomaly())
        await until(alerts, DELIVERED, 1)
        assert alerts.collect()[FAILED] == 3
        await alerts.close()
        assert dropped(alerts, "gave_up") == dropped(alerts, "stopped") == 0

    with receiving() as receiver:
        asyncio.run(run(receiver))
    assert len(receiver.posts) == 4
    assert {post.fields["id"] for post in receiver.posts} == {"ANOMALY_DETECTED:req_1"}
    assert all(post.signed_by(SECRET) for post in receiver.posts)
    (told,) = caplog.messages
    assert "answered 500" in told


@pytest.mark.usefixtures("hasty")
def test_a_receiver_that_is_not_there_yet_is_waited_for():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

    async def run():
        alerts = sender(f"http://127.0.0.1:{port}/")
        alerts.tell(anomaly())
        await until(alerts, FAILED, 1)
        with receiving(port) as receiver:
            await until(alerts, DELIVERED, 1)
            await alerts.close()
            return receiver.posts

    (post,) = asyncio.run(run())
    assert post.signed_by(SECRET)


@pytest.mark.usefixtures("hasty")
def test_a_redirect_is_a_failure_and_is_not_followed(caplog):
    async def run(receiver, elsewhere):
        receiver.answer = lambda number: (307, {"location": f"{elsewhere.url}/stolen"})
        alerts = sender(receiver.url)
        alerts.tell(anomaly())
        await until(alerts, 'p402_alerts_dropped_total{reason="gave_up"}', 1)
        await alerts.close()

    with receiving() as receiver, receiving() as elsewhere:
        asyncio.run(run(receiver, elsewhere))
    assert len(receiver.posts) == outbox.TRIES
    assert elsewhere.posts == []
    assert caplog.messages[-1].endswith("answered 307; given up")


def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    async def run(receiver):
        alerts = sender(receiver.url)
        alerts.tell(anomaly())
        await until(alerts, DELIVERED, 1)
        await alerts.close()

    with receiving() as receiver, receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        asyncio.run(run(receiver))
    assert (len(receiver.posts), proxy.posts) == (1, [])


def test_a_slow_receiver_is_given_up_and_holds_back_nobody_else(monkeypatch):
    monkeypatch.setattr(webhooks, "WITHIN_S", 0.3)

    async def run(slow, quick):
        slow.answer = lambda number: (time.sleep(1), (200, {}))[1]
        targets = {"slow": Webhook(Secret(slow.url), None), "quick": Webhook(Secret(quick.url), None)}
        alerts = Webhooks(targets, SystemClock())
        began = time.perf_counter()
        alerts.tell(anomaly(1, "slow"))
        alerts.tell(anomaly(2, "quick"))
        assert time.perf_counter() - began < 0.05
        await until(alerts, DELIVERED, 1, 0.25)
        await until(alerts, FAILED, 1)
        assert alerts.collect()[WAITING] == 1
        monkeypatch.setattr(webhooks, "STOP_S", 0.1)
        await alerts.close()

    with receiving() as slow, receiving() as quick:
        asyncio.run(run(slow, quick))
    assert len(quick.posts) == 1


def test_an_answer_without_end_is_not_read():
    async def run() -> None:
        sent = 0

        async def endless(reader, writer):
            nonlocal sent
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            try:
                while True:
                    writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                    await writer.drain()
                    sent += 1
            except ConnectionError:
                writer.close()

        server = await asyncio.start_server(endless, "127.0.0.1", 0)
        alerts = sender(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        alerts.tell(anomaly())
        await until(alerts, DELIVERED, 1, 5)
        await asyncio.sleep(0.1)
        assert sent < 200
        await alerts.close()
        server.close()

    asyncio.run(run())


@pytest.mark.usefixtures("hasty")
def test_an_anomalous_hour_is_a_letter_at_a_time_with_the_number_of_the_others():
    async def run(receiver):
        alerts = sender(receiver.url)
        for i in range(2_000):
            alerts.tell(anomaly(i))
        await until(alerts, DELIVERED, 2)
        await asyncio.sleep(0.1)
        await alerts.close()
        return alerts.collect()

    with receiving() as receiver:
        counted = asyncio.run(run(receiver))
    assert [post.fields["folded"] for post in receiver.posts] == [0, 1_998]
    assert (counted["p402_alerts_queued_total"], counted["p402_alerts_folded_total"]) == (2, 1_998)


def test_a_day_that_is_spent_is_told_once_a_day():
    async def run(receiver):
        alerts = sender(receiver.url, "default", "other")
        for tenant in ("default", "other", "default"):
            alerts.tell(CapReached(tenant, NOON, "req_1", 1_000_000_000))
        await until(alerts, DELIVERED, 2)
        alerts.tell(CapReached("default", NOON + 86_400_000, "req_9", 1_000_000_000))
        await until(alerts, DELIVERED, 3)
        await alerts.close()

    with receiving() as receiver:
        asyncio.run(run(receiver))
    assert sorted(post.fields["id"] for post in receiver.posts) == [
        "DAILY_SPEND_LIMIT_EXCEEDED:default:20700",
        "DAILY_SPEND_LIMIT_EXCEEDED:default:20701",
        "DAILY_SPEND_LIMIT_EXCEEDED:other:20700",
    ]


def test_a_tenant_without_a_webhook_is_let_go_and_a_post_says_nothing_of_its_url(caplog):
    async def run():
        alerts = sender("http://127.0.0.1:1/a-token-in-a-path")
        alerts.tell(anomaly(1, "nobody"))
        assert alerts.collect()["p402_alerts_queued_total"] == 0
        alerts.tell(anomaly())
        await until(alerts, FAILED, 1)
        await alerts.close()

    asyncio.run(run())
    assert caplog.messages
    assert "token" not in caplog.text


def test_what_is_told_while_no_loop_runs_is_posted_with_the_next():
    async def run(alerts):
        alerts.tell(anomaly(2, "other"))
        await until(alerts, DELIVERED, 2)
        await alerts.close()

    with receiving() as receiver:
        alerts = sender(receiver.url, "default", "other")
        alerts.tell(anomaly(1))
        asyncio.run(run(alerts))
    assert {post.fields["request_id"] for post in receiver.posts} == {"req_1", "req_2"}


def test_a_stop_tries_what_is_undelivered_once_more():
    async def run(receiver):
        receiver.answer = lambda number: (503 if number == 1 else 200, {})
        alerts = sender(receiver.url)
        alerts.tell(anomaly(1))
        await until(alerts, FAILED, 1)
        alerts.tell(anomaly(2))  # held for a second
        alerts.tell(anomaly(3))
        began = time.monotonic()
        await alerts.close()
        assert time.monotonic() - began < 1
        return alerts

    with receiving() as receiver:
        alerts = asyncio.run(run(receiver))
    assert alerts.collect()[DELIVERED] == 2
    assert dropped(alerts, "stopped") == 0
    assert [post.fields["folded"] for post in receiver.posts] == [0, 0, 1]


@pytest.mark.parametrize("deaf", [True, False])
def test_a_stop_is_short_and_counts_and_tells_what_it_loses(monkeypatch, caplog, deaf):
    monkeypatch.setattr(webhooks, "STOP_S", 0.5)

    async def run():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            if deaf:
                listener.listen(8)  # connections are made, and nothing is ever said
            alerts = sender(f"http://127.0.0.1:{listener.getsockname()[1]}/", "a", "b", "c")
            for tenant in "abc":
                alerts.tell(anomaly(1, tenant))
            await asyncio.sleep(0.1)
            began = time.monotonic()
            await alerts.close()
            assert time.monotonic() - began < 2
            alerts.tell(anomaly(9, "a"))
            await alerts.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return alerts

    alerts = asyncio.run(run())
    assert dropped(alerts, "stopped") == 4
    assert alerts.collect()[DELIVERED] == 0
    assert "3 alerts were undelivered at the stop" in caplog.text


def test_a_fault_of_ours_is_a_failed_try_and_reaches_no_request(monkeypatch):
    async def run():
        alerts = sender("http://127.0.0.1:1/")
        monkeypatch.setattr(webhooks, "body_of", lambda *_: 1 / 0)
        alerts.tell(anomaly())
        await until(alerts, FAILED, 1)
        await alerts.close()

    asyncio.run(run())
