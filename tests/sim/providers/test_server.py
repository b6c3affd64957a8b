"""Real clients over real loopback sockets: answers, every failure, control, and leaving."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import openai
import pytest

from p402.errors import ConfigError
from p402_datasets.outcomes import OutcomeTable
from sim.providers.app import SimApp
from sim.providers.server import bind, running
from sim.providers.spec import PROVIDERS
from sim.providers.world import Ask, World

MODEL = "mistral-large-2512"
KEY = {"authorization": "Bearer sim-test"}
CALM = [replace(p, failures={}, outages=()) for p in PROVIDERS]


@pytest.fixture(scope="module")
def app(small: OutcomeTable) -> SimApp:
    return SimApp(World(7, small, CALM), latency_scale=0, hang_s=0.3)


@pytest.fixture(scope="module")
def root(app: SimApp) -> Iterator[str]:
    with running(app) as url:
        yield url


@pytest.fixture
def http(root: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=root, headers=KEY, timeout=10, trust_env=False) as client:
        yield client


def ask(prompt: str = "What is 3 and 3?", **fields: object) -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": prompt}]} | fields


def chat(http: httpx.Client, provider: str = "sim-alder", **fields: object) -> httpx.Response:
    return http.post(f"/{provider}/v1/chat/completions", json=ask(**fields))


def events(response: httpx.Response) -> list[str]:
    return [part.removeprefix("data: ") for part in response.text.strip().split("\n\n")]


def test_the_official_client_reads_whole_answers_and_streams(
    root: str, app: SimApp, small: OutcomeTable
) -> None:
    prompt = small.prompts[4].text
    expected = app.world.answer(Ask("sim-oak", MODEL, prompt))
    with openai.OpenAI(base_url=f"{root}/sim-oak/v1", api_key="sim-test", max_retries=0) as client:
        messages = [{"role": "user", "content": prompt}]
        whole = client.chat.completions.create(model=MODEL, messages=messages)  # type: ignore[arg-type]
        stream = client.chat.completions.create(  # type: ignore[call-overload]
            model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        assert [m.id for m in client.models.list()] == list(app.world.models)
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (7, expected.output_tokens)
    assert whole.model_extra is not None
    assert whole.model_extra["sim"]["quality"] == expected.quality == 0.8
    assert "simulated" in str(whole.choices[0].message.content)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert len(text) == len(str(whole.choices[0].message.content))
    assert chunks[-1].usage == whole.usage
    assert chunks[-1].model_extra["sim"]["quality"] == expected.quality


def test_the_quality_is_in_the_header_and_the_body_says_simulated(http: httpx.Client) -> None:
    for stream in (False, True):
        response = chat(http, stream=stream)
        assert response.headers["x-sim-quality"] == "0.8"
        assert response.headers["x-simulated"] == "true"
    last = json.loads(events(response)[-2])  # no usage asked for: `sim` rides on the finish chunk
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["sim"] == last["sim"] | {"quality": 0.8, "simulated": True, "matched": True}


def test_a_cap_cuts_the_answer_with_the_reason_length(http: httpx.Client) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        raw = chat(http, **{name: 5}).json()
        assert (raw["choices"][0]["finish_reason"], raw["usage"]["completion_tokens"]) == ("length", 5)
        assert raw["sim"]["quality"] == 0


def test_n_completions_are_billed_n_times(http: httpx.Client) -> None:
    raw = chat(http, n=3).json()
    assert len(raw["choices"]) == 3
    assert raw["usage"]["completion_tokens"] == 3 * 30


def test_a_thinking_model_reports_reasoning_within_its_output(http: httpx.Client) -> None:
    usage = chat(http, model="gemini-2.5-pro").json()["usage"]
    assert usage["completion_tokens"] == 100
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 70


def test_a_prompt_seen_before_is_cached_where_the_provider_caches(http: httpx.Client) -> None:
    history = [{"role": "system", "content": "x" * 2_000}, {"role": "user", "content": "one"}]
    longer = [*history, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "two"}]
    for provider, cached in (("sim-oak", 496), ("sim-cedar", 0)):
        cold = chat(http, provider, messages=history).json()["usage"]
        warm = chat(http, provider, messages=longer).json()["usage"]
        assert cold["prompt_tokens_details"]["cached_tokens"] == 0
        assert warm["prompt_tokens_details"]["cached_tokens"] == cached


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_a_forced_status_is_answered_once_then_the_provider_is_well(
    http: httpx.Client, status: int, stream: bool
) -> None:
    http.post("/control", json={"provider": "sim-elm", "fail": str(status), "times": 1}).raise_for_status()
    failed = chat(http, "sim-elm", stream=stream)
    assert failed.status_code == status
    assert "simulated" in failed.json()["error"]["message"]
    waits = {k for k in failed.headers if k.startswith("retry-after")}
    assert waits == ({"retry-after", "retry-after-ms"} if status in (429, 503) else set())
    assert chat(http, "sim-elm", stream=stream).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_answer_ends_without_its_end(http: httpx.Client, stream: bool) -> None:
    http.post("/control", json={"provider": "sim-elm", "fail": "cut", "times": 1}).raise_for_status()
    seen: list[bytes] = []
    with (
        http.stream("POST", "/sim-elm/v1/chat/completions", json=ask(stream=stream)) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        seen.extend(response.iter_raw())
    assert response.status_code == 200
    text = b"".join(seen)
    assert b"simulated" in text
    assert b"[DONE]" not in text
    assert b'"usage"' not in text


def test_an_error_inside_a_200_comes_before_or_after_the_first_content(http: httpx.Client) -> None:
    http.post("/control", json={"provider": "sim-elm", "fail": "error_event"}).raise_for_status()
    assert "error" in chat(http, "sim-elm").json()
    contents = set()
    for i in range(24):
        response = chat(http, "sim-elm", stream=True, messages=[{"role": "user", "content": f"number {i}"}])
        assert response.status_code == 200
        *before, last = events(response)
        assert json.loads(last)["error"]["code"] == "upstream_error"
        deltas = [json.loads(e)["choices"][0]["delta"] for e in before]
        contents.add(any(d.get("content") for d in deltas))
    assert contents == {False, True}
    http.post("/control", json={"provider": "sim-elm", "fail": None}).raise_for_status()
    assert "choices" in chat(http, "sim-elm").json()


def test_a_hang_sends_nothing_until_the_client_gives_up_which_is_noticed(
    http: httpx.Client, app: SimApp
) -> None:
    before = app.counts["sim-hazel"].cancelled
    http.post("/control", json={"provider": "sim-hazel", "fail": "hang", "times": 2}).raise_for_status()
    with pytest.raises(httpx.ReadTimeout):
        http.post("/sim-hazel/v1/chat/completions", json=ask(), timeout=0.1)
    deadline = time.monotonic() + 5
    while app.counts["sim-hazel"].cancelled == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert app.counts["sim-hazel"].cancelled == before + 1
    assert chat(http, "sim-hazel").status_code == 504  # a patient client is told in the end


def test_a_failure_of_the_law_reaches_the_wire(small: OutcomeTable) -> None:
    with (
        running(SimApp(World(7, small), latency_scale=0)) as url,
        httpx.Client(base_url=url, headers=KEY) as http,
    ):
        seen = [
            chat(http, "sim-birch", messages=[{"role": "user", "content": f"number {i}"}]).status_code
            for i in range(200)
        ]
        stats = http.get("/stats").json()["providers"]["sim-birch"]
    assert seen.count(429) >= 1
    assert stats == {
        "served": 200,
        "cancelled": 0,
        "failures": {str(s): seen.count(s) for s in sorted(set(seen) - {200}, key=seen.index)},
    }


def test_latency_scales(small: OutcomeTable) -> None:
    took = {}
    for scale in (0.0, 0.2):
        with (
            running(SimApp(World(7, small, CALM), latency_scale=scale)) as url,
            httpx.Client(base_url=url, headers=KEY) as http,
        ):
            begun = time.perf_counter()
            sim = chat(http, stream=True, stream_options={"include_usage": True})
            took[scale] = time.perf_counter() - begun
            law = json.loads(events(sim)[-2])["sim"]
    expected = 0.2 * (law["ttft_ms"] + law["generation_ms"]) / 1000
    assert took[0.2] >= 0.9 * expected
    assert took[0.0] < took[0.2]


@pytest.mark.parametrize(
    ("path", "fields", "headers", "status", "code"),
    [
        ("/sim-alder/v1/chat/completions", {}, {"authorization": "Bearer other"}, 401, "invalid_api_key"),
        ("/sim-nobody/v1/chat/completions", {}, KEY, 404, "model_not_found"),
        ("/sim-alder/v1/chat/completions", {"model": "gpt-0"}, KEY, 404, "model_not_found"),
        ("/sim-alder/v1/chat/completions", {"max_tokens": -1}, KEY, 400, "INVALID_INPUT"),
        ("/sim-alder/v1/embeddings", {}, KEY, 404, "NOT_FOUND"),
        ("/control", {"provider": "sim-alder", "fail": "fire"}, KEY, 400, "INVALID_INPUT"),
        ("/control", {"provider": "sim-alder", "fail": "500", "times": 0}, KEY, 400, "INVALID_INPUT"),
        ("/control", {"provider": 7}, KEY, 400, "INVALID_INPUT"),
    ],
)
def test_bad_input_is_answered_and_the_server_lives(
    http: httpx.Client, path: str, fields: dict, headers: dict, status: int, code: str
) -> None:
    response = http.post(path, json=ask(**fields), headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert http.get("/healthz").json() == {"status": "ok", "simulated": True}


def test_a_prompt_beyond_the_context_window_is_refused_with_openais_code(http: httpx.Client) -> None:
    response = chat(
        http, model="llama-3.1-8b-instruct", messages=[{"role": "user", "content": "word" * 131_073}]
    )
    assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_a_price_rise_shows_in_the_list_of_models(small: OutcomeTable) -> None:
    app = SimApp(World(7, small, CALM), latency_scale=0)
    with running(app) as url, httpx.Client(base_url=url) as http:
        before = http.get("/sim-willow/v1/models").json()["data"][0]["pricing"]
        app.counts["sim-willow"].served = 300
        after = http.get("/sim-willow/v1/models").json()["data"][0]["pricing"]
    assert after["output_usd_per_mtok"] == pytest.approx(1.5 * before["output_usd_per_mtok"])


def test_a_taken_port_is_a_clear_error(root: str) -> None:
    with pytest.raises(ConfigError, match="--port"):
        bind(int(root.rsplit(":", 1)[1]))
