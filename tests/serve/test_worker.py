"""A worker with its real hands: what is published reaches it while it serves, and it stops without loss."""

import asyncio

import orjson
import pytest

from p402.errors import ConfigError, StoreError
from p402.registry.published import Candidate
from p402.registry.weights import WeightsRegistry
from p402.routing.scale import PARAM_ONE
from p402.store.components import ComponentStore
from p402.store.config import Configuration, configure
from serve.handlers.chat import chat
from serve.handlers.front import answer
from serve.http import HttpRequest
from serve.worker import Worker, answers_path
from tests.serve.test_command import HELLO
from tests.serve.test_command import answer as provider_answer
from tests.serve.upstream.loopback import loopback

MODEL = {
    "id": "m",
    "context_window": 8000,
    "output_limit": 1000,
    "input_usd_per_mtok": 1,
    "output_usd_per_mtok": 2,
}


def configuration(folder, url: str = "http://127.0.0.1:1/v1", **server) -> Configuration:
    document = {
        "server": {
            "state": f"sqlite:///{folder}/state.db",
            "log": f"{folder}/log",
            "store": f"{folder}/store",
            "registry": f"{folder}/registry",
            **server,
        },
        "providers": {"acme": {"base_url": url, "models": [MODEL]}},
    }
    return configure(document, {})


async def snapshot_of(worker: Worker) -> str:
    """Snapshot that an answer of this worker cites."""
    reply = await answer(
        worker.front, chat, HttpRequest("POST", "/v1/chat/completions", {}, orjson.dumps(HELLO))
    )
    assert reply.status == 200
    return orjson.loads(reply.body)["p402_metadata"]["snapshot_id"]


async def until_changed(worker: Worker, before: str) -> str:
    for _ in range(400):
        now = await snapshot_of(worker)
        if now != before:
            return now
        await asyncio.sleep(0.05)
    raise AssertionError(f"the worker still decides by {before}")


def test_p21_published_weights_reach_a_serving_worker_and_can_be_rolled_back(tmp_path, monkeypatch):
    monkeypatch.setattr("serve.worker.REFRESH_S", 0.05)
    registry = WeightsRegistry(tmp_path / "registry")

    async def run() -> tuple[str, str, str]:
        async with loopback(provider_answer) as provider:
            worker = Worker(configuration(tmp_path, provider.url))
            await worker.start()
            try:
                first = await snapshot_of(worker)
                half = PARAM_ONE // 2
                registry.publish(Candidate(quality=half + 5, cost=half - 5, speed=0, reason="a test"), 0)
                second = await until_changed(worker, first)
                registry.rollback(1, "a test")
                third = await until_changed(worker, second)
            finally:
                await worker.stop()
        return first, second, third

    first, second, third = asyncio.run(run())
    assert first == third != second
    store = ComponentStore(tmp_path / "store")
    assert store.has_snapshot(first)
    assert store.has_snapshot(second)
    assert list((tmp_path / "log" / "live").iterdir()) == []


def test_a_torn_weights_file_leaves_the_last_good_snapshot_and_is_told_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("serve.worker.REFRESH_S", 0.02)

    async def run() -> tuple[str, str]:
        async with loopback(provider_answer) as provider:
            worker = Worker(configuration(tmp_path, provider.url))
            await worker.start()
            try:
                before = await snapshot_of(worker)
                (tmp_path / "registry").mkdir()
                (tmp_path / "registry" / "weights.json").write_bytes(b'{"v": 1, "qual')
                await asyncio.sleep(0.5)
                after = await snapshot_of(worker)
            finally:
                await worker.stop()
        return before, after

    before, after = asyncio.run(run())
    assert before == after
    assert capsys.readouterr().err.count("keeps snapshot") == 1


def test_a_stale_weights_file_leaves_the_last_good_snapshot_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("serve.worker.REFRESH_S", 0.02)
    registry = WeightsRegistry(tmp_path / "registry")
    half = PARAM_ONE // 2

    async def run() -> tuple[str, str, str, str, str]:
        async with loopback(provider_answer) as provider:
            registry.publish(Candidate(quality=half + 5, cost=half - 5, speed=0, reason="a test"), 0)
            older = registry.path.read_bytes()
            worker = Worker(configuration(tmp_path, provider.url))
            await worker.start()
            try:
                first = await snapshot_of(worker)
                registry.publish(Candidate(quality=half + 9, cost=half - 9, speed=0, reason="a test"), 1)
                second = await until_changed(worker, first)
                registry.path.write_bytes(older)  # as a restored backup or a slow copy does
                await asyncio.sleep(0.5)
                kept = await snapshot_of(worker)
                said = capsys.readouterr().err
                registry.repair(1, "meant, and said so")
                repaired = await until_changed(worker, kept)
            finally:
                await worker.stop()
        return first, second, kept, repaired, said

    first, second, kept, repaired, said = asyncio.run(run())
    assert kept == second != first
    assert repaired == first
    (told,) = (line for line in said.splitlines() if "keeps snapshot" in line)
    assert f"keeps snapshot {second[:12]}" in told
    assert "is stale: found version 1; expected version 2" in told


def test_a_worker_is_ready_between_its_start_and_its_stop(tmp_path):
    async def run() -> list[bool]:
        worker = Worker(configuration(tmp_path))
        ready = [worker.front.ready()]
        await worker.start()
        ready.append(worker.front.ready())
        await worker.stop()
        ready.append(worker.front.ready())
        return ready

    assert asyncio.run(run()) == [False, True, False]


def test_workers_of_one_process_after_another_have_names_of_their_own(tmp_path):
    async def run() -> set[str]:
        names = set()
        for _ in range(3):
            worker = Worker(configuration(tmp_path))
            names.add(worker.name)
            await worker.stop()
        return names

    assert len(asyncio.run(run())) == 3


def test_broken_benchmarks_are_told_by_the_setting_that_named_them(tmp_path):
    with pytest.raises(ConfigError, match=r"server\.benchmarks: .*none\.toml"):
        Worker(configuration(tmp_path, benchmarks=str(tmp_path / "none.toml")))


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "log").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="log"):
        Worker(configuration(tmp_path))


def test_kept_answers_lie_beside_the_state_and_two_states_do_not_share_them(tmp_path):
    one, other = (
        answers_path(configuration(tmp_path, state=f"sqlite:///{tmp_path}/{name}.db").settings)
        for name in "ab"
    )
    assert (one, other) == (tmp_path / "a.answers.db", tmp_path / "b.answers.db")
