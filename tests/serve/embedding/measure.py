"""What embedding a prompt costs: time by length, the event loop's waits meanwhile, memory, a cold start.

    .venv/bin/python -m tests.serve.embedding.measure [--calls 200] [--rounds 7]

On an idle event loop (uvloop), one prompt after another, lengths in turn in every round, with no limit of
time; then with the 8 ms of a request, 20 a second, one by one and in fours. Beside it the wheel's own
graph, without what this project's makes of its weights. CPU is the process's. Memory is what is resident
and no file's, and cold start from import to first vector, each in a fresh process. Medians over the rounds.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import numpy as np
import onnxruntime
import uvloop
from numpy.typing import NDArray

from serve.embedding import parts
from serve.embedding.embedder import WAIT_MS, Embedder
from serve.embedding.make import make_embedder

LENGTHS = (8, 20, 32, 64, 96, 128)
NO_LIMIT_MS = 60_000.0
SPACED = 100
EVERY_S = 0.05
COLD = """
import asyncio, json, sys, time
from pathlib import Path

def own_kb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

import numpy, serve.errors
before_kb, began = own_kb(), time.perf_counter()
from serve.embedding.make import make_embedder

async def run():
    made = make_embedder()
    assert await made.embed("What is the capital of France?", wait_ms=60_000) is not None
    cold_s = time.perf_counter() - began
    await made.embed("word " * 126, wait_ms=60_000)
    print(json.dumps([cold_s, (own_kb() - before_kb) / 1024]))
    await made.close()

asyncio.run(run())
"""


def text_of(tokens: int, number: int) -> str:
    """So many tokens, and another text for each number."""
    return " ".join(["what", "is", str(number % 1_000), *["word"] * (tokens - 5)])


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def timed(
    embed: Callable[[str], Awaitable[NDArray[np.float32] | None]], tokens: int, calls: int
) -> tuple[list[float], int]:
    took_ms, given = [], 0
    for number in range(calls):
        began = time.perf_counter()
        given += await embed(text_of(tokens, number)) is not None
        took_ms.append((time.perf_counter() - began) * 1e3)
    return took_ms, given


def wheels_own(embedder: Embedder) -> Callable[[str], Awaitable[NDArray[np.float32] | None]]:
    """The wheel's graph as it is, called in place; pooled with numpy."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        str(parts._weights_file()), options, providers=["CPUExecutionProvider"]
    )

    async def embed(text: str) -> NDArray[np.float32] | None:
        ids = embedder._reader.read(text)
        assert isinstance(ids, np.ndarray)
        row = ids[None]
        given = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
        mean: NDArray[np.float32] = session.run(None, given)[0][0].mean(0)
        return mean / np.linalg.norm(mean)

    return embed


async def late_ms(seconds: float) -> list[float]:
    """By how many ms a timer of 1 ms came late."""
    late, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append(max(0.0, (time.perf_counter() - began) * 1e3 - 1))
    return late


async def measure(calls: int, rounds: int) -> None:
    embedder = make_embedder()
    assert isinstance(embedder, Embedder), embedder
    hands = {
        "embed": lambda text: embedder.embed(text, wait_ms=NO_LIMIT_MS),
        "the wheel's own graph": wheels_own(embedder),
    }
    seen: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    for _ in range(rounds):
        for tokens in LENGTHS:
            for name, embed in hands.items():
                cpu = time.process_time()
                took_ms, _ = await timed(embed, tokens, calls)
                cpu_ms = (time.process_time() - cpu) / calls * 1e3
                figure = statistics.median(took_ms), quantile(took_ms, 0.95), cpu_ms
                seen.setdefault((name, tokens), []).append(figure)
    print(f"{embedder.id}, onnxruntime {onnxruntime.__version__}; {rounds} rounds of {calls} prompts; ms")
    print("| tokens |" + "|".join(f" {name}: p50 / p95, CPU " for name in hands) + "|")
    print("|---|" + "---|" * len(hands))
    for tokens in LENGTHS:
        cells = []
        for name in hands:
            p50, p95, cpu = (statistics.median(figures) for figures in zip(*seen[name, tokens], strict=True))
            cells.append(f" {p50:.2f} / {p95:.2f}, {cpu:.2f} ")
        print(f"| {tokens} |" + "|".join(cells) + "|")

    print(f"\nwithin {WAIT_MS:.0f} ms: share that got a vector; p50 / p99 of the wait, ms")
    print("| tokens | one by one | four at once |\n|---|---|---|")
    for tokens in LENGTHS:
        cells = []
        for at_once in (1, 4):
            took_ms, given = [], 0
            for _ in range(SPACED // at_once):
                ends = await asyncio.gather(*(timed(embedder.embed, tokens, 1) for _ in range(at_once)))
                took_ms += [ms for took, _ in ends for ms in took]
                given += sum(count for _, count in ends)
                await asyncio.sleep(EVERY_S * at_once)
            share = given / len(took_ms)
            cells.append(f" {share:.0%}; {statistics.median(took_ms):.2f} / {quantile(took_ms, 0.99):.2f} ")
        print(f"| {tokens} |" + "|".join(cells) + "|")

    alone = await late_ms(2)
    task = asyncio.create_task(timed(hands["embed"], 64, 1_000_000))
    beside = await late_ms(2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    print("\nms by which a timer of the event loop was late: p50, 99 %, most")
    for name, late in (("alone", alone), ("while prompts of 64 tokens are embedded", beside)):
        print(f"{name}: {quantile(late, 0.5):.2f}, {quantile(late, 0.99):.2f}, {max(late):.2f}")
    await embedder.close()


def start(rounds: int) -> None:
    cold = [
        json.loads(subprocess.run([sys.executable, "-c", COLD], check=True, capture_output=True).stdout)
        for _ in range(rounds)
    ]
    cold_s, own_mb = (statistics.median(figures) for figures in zip(*cold, strict=True))
    print(f"\ncold start {cold_s:.2f} s; {own_mb:.0f} MiB of its own, a prompt of 128 tokens included")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    uvloop.run(measure(given.calls, given.rounds))
    start(given.rounds)


if __name__ == "__main__":
    main()
