"""The admin port: metrics and nothing else, for whom it is meant, and no port that fails mysteriously."""

import asyncio
import socket
from contextlib import contextmanager

import httpx
import orjson
import pytest

from p402.errors import ConfigError
from p402.settings import Secret, ServerSettings
from serve.command import admin_plane, main
from serve.metrics.text import CONTENT_TYPE
from tests.serve.gateway import exchange
from tests.serve.test_command import (
    answer,
    clean_environment,
    free_port,
    gateway,
    stopped,
    taken,
    write_config,
)
from tests.serve.upstream.loopback import loopback

__all__ = ["clean_environment"]


@contextmanager
def plane(**given):
    """An admin port over the numbers of one worker."""
    with admin_plane(ServerSettings(admin_port=free_port(), **given)) as found:
        (found.folder / "1-w.json").write_bytes(b'{"x_total":7}')
        yield int(found.url.rpartition(":")[2])
    assert not found.folder.exists()


def test_it_serves_metrics_as_prometheus_reads_them():
    with plane() as port:
        for _ in range(3):
            reply = exchange(port, "GET", "/metrics?name=x", headers={"authorization": ""})
            assert reply.status == 200
            assert reply.header("content-type") == CONTENT_TYPE.decode()
            assert reply.header("cache-control") == "no-store"
            assert b"\nx_total 7\n" in reply.body


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/healthz", 404, "NOT_FOUND"),
        ("POST", "/v1/chat/completions", 404, "NOT_FOUND"),
        ("POST", "/metrics", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_it_serves_nothing_else(method, path, status, code):
    with plane() as port:
        reply = exchange(port, method, path, b"{}" if method == "POST" else b"")
    assert (reply.status, orjson.loads(reply.body)["error"]["code"]) == (status, code)
    assert (reply.header("allow") == "GET") == (status == 405)


def test_with_a_key_it_asks_for_it():
    with plane(admin_key=Secret("s3cret")) as port:
        for given in ("", "Bearer", "Bearer s3cre", "Bearer s3cret ", "Basic s3cret", "Bearer \xff"):
            reply = exchange(port, "GET", "/metrics", headers={"authorization": given})
            assert (reply.status, reply.header("www-authenticate")) == (401, "Bearer"), given
            assert b"s3cret" not in reply.body
        reply = exchange(port, "GET", "/metrics", headers={"authorization": "Bearer s3cret"})
        assert reply.status == 200


def test_a_fault_of_ours_is_500_without_its_text(monkeypatch, capsys):
    with plane() as port:
        monkeypatch.setattr("serve.metrics.sheets.Sheets.total", lambda self: 1 / 0)
        reply = exchange(port, "GET", "/metrics")
    assert reply.status == 500
    assert b"division" not in reply.body
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_head_without_end_is_refused_as_on_the_data_plane():
    with plane() as port, socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n" + b"x: " + b"y" * 40_000)
        assert client.recv(1_024).startswith(b"HTTP/1.1 431")


def test_beyond_loopback_it_needs_a_key():
    with (
        pytest.raises(ConfigError, match=r"server\.admin_host: found 0\.0\.0\.0.*P402_SERVER_ADMIN_KEY"),
        admin_plane(ServerSettings(admin_host="0.0.0.0")),
    ):
        pass
    with plane(admin_host="0.0.0.0", admin_key=Secret("k")) as port:
        assert exchange(port, "GET", "/metrics").status == 401


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 4021),
        ({"port": 5000}, 5001),
        ({"port": 0}, None),
        ({"port": 65_535}, None),
        ({"admin_port": 0}, None),
        ({"port": 0, "admin_port": 9}, 9),
    ],
)
def test_it_is_the_port_above_the_data_plane_unless_it_is_set(given, expected):
    assert ServerSettings(**given).metrics_port == expected


@pytest.mark.usefixtures("clean_environment")
def test_an_admin_port_that_is_taken_ends_with_the_setting_to_change(tmp_path):
    path = write_config(tmp_path, "http://127.0.0.1:1/v1")
    with taken() as port:
        path.write_text(path.read_text().replace("[server]", f"[server]\nadmin_port = {port}"))
        with pytest.raises(ConfigError) as told:
            main(["--config", str(path), "--max-seconds", "20"])
    assert str(told.value) == (
        f"server.admin_port: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another, or 0 for no metrics"
    )


def test_a_second_gateway_on_another_port_has_metrics_of_its_own(tmp_path):
    async def run():
        async with loopback(answer) as provider:
            ports = []
            for name in ("one", "two"):
                (tmp_path / name).mkdir()
                write_config(tmp_path / name, provider.url)
                ports.append(free_pair())
            async with (
                gateway(tmp_path / "one", "--port", str(ports[0])) as (one, _),
                gateway(tmp_path / "two", "--port", str(ports[1])) as (two, _),
                httpx.AsyncClient() as client,
            ):
                for port in ports:
                    reply = await client.get(f"http://127.0.0.1:{port + 1}/metrics")
                    assert "\np402_workers 1" in reply.text
                assert [(await stopped(process))[0] for process in (one, two)] == [0, 0]

    asyncio.run(run())


def test_without_a_port_there_are_no_metrics_and_the_gateway_does_not_speak_of_them(tmp_path):
    async def run():
        async with loopback(answer) as provider:
            write_config(tmp_path, provider.url)
            async with gateway(tmp_path) as (process, _):
                status, out, _ = await stopped(process)
        assert status == 0
        assert "  metrics  " not in out

    asyncio.run(run())


def free_pair() -> int:
    """A free port below a free one."""
    while True:
        port = free_port()
        with socket.socket() as above:
            try:
                above.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
        return port
