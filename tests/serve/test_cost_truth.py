"""Cost truth: what the metadata says an exchange cost is what its own attempts, priced again, come to.

The law is recomputed here from the JSON alone, in decimals and by a dozen lines that share nothing with
`p402.routing.pricing`: 100,000 exchanges over random price lists, and some hundred through the real process.
"""

import asyncio
import json
import random
import re
import tomllib
from decimal import ROUND_CEILING, Decimal
from pathlib import Path

import httpx
import msgspec
import orjson
import pytest

from p402.answer import Metadata
from p402.assemble import START_WEIGHTS, assemble
from p402.catalog.model import Catalog, Deployment, Source
from p402.catalog.price import PricePeriod, PriceRow, Tier, TokenPrices, discounted
from p402.flow.account import Account
from p402.flow.plan import Choice, baseline_arm, make_plan
from p402.flow.state import WorkerState
from p402.ports import Usage
from p402.request import ChatRequest, Options, Transcript
from p402.routing.compiled import compile_snapshot
from p402.settings import read_settings
from p402.store.catalog import load_catalog
from p402.store.config import configure
from p402.store.task_head import load_head
from serve.metadata import metadata_bytes
from tests.serve.test_command import gateway, rows
from tests.serve.upstream.loopback import DONE, ROLE, chunk_of, loopback

EXCHANGES = 100_000
WORLDS = 40
NOW_MS = 1_795_384_000_000
NANO = Decimal(1_000_000_000)
README = Path(__file__).parents[2] / "serve" / "README.md"
PROVIDERS = ("anna", "bert", "cora")


def recomputed(told: dict) -> int | None:
    """Nano-USD that an exchange cost, from its metadata's attempts alone; None where one has no price."""
    total = 0
    for attempt in told["attempts"]:
        prompt, price = attempt["input_tokens"], attempt["price"]
        if prompt is None:
            continue  # the provider told nothing and billed nothing
        if price is None:
            return None
        read, written, hour = (
            attempt[f"{name}_tokens"] for name in ("cached", "cache_write", "cache_write_1h")
        )
        usd = (prompt - read - written) * price["input_usd_per_mtok"]
        usd += (
            read * price["cache_read_usd_per_mtok"] + attempt["output_tokens"] * price["output_usd_per_mtok"]
        )
        usd += (written - hour) * price["cache_write_usd_per_mtok"] + hour * price[
            "cache_write_1h_usd_per_mtok"
        ]
        total += int((usd / 1_000_000 * NANO).to_integral_value(ROUND_CEILING))
    return total


def read(raw: bytes) -> dict:
    """Metadata with every number that has a point as the decimal that was written."""
    return json.loads(raw, parse_float=Decimal)


def nano(usd: Decimal | None) -> Decimal | None:
    return None if usd is None else usd * NANO


def any_prices(rng: random.Random, known: tuple[bool, ...]) -> TokenPrices:
    """Prices of the classes that are known, some of them whole USD per million tokens and some odd."""
    price = [rng.choice((rng.randrange(1 << 26), rng.randrange(1, 90) * 1_000_000, 0)) for _ in known]
    return TokenPrices(*(p if k else None for p, k in zip(price, known, strict=True)))


def any_row(rng: random.Random) -> PriceRow:
    """Input and output are known but for one in twenty; a class that is known is known in every tier."""
    known = tuple(rng.random() < (0.95 if name in ("input", "output") else 0.6) for name in CLASSES)
    starts = sorted(rng.sample(range(1, 300_000), rng.choice((0, 0, 1))))
    return PriceRow(any_prices(rng, known), tuple(Tier(t, any_prices(rng, known)) for t in starts))


CLASSES = TokenPrices.__struct_fields__


def any_world(rng: random.Random):
    """A catalogue of random prices, sold by three providers, two of them under a contract, and own models."""
    deployments = tuple(
        Deployment(
            provider=provider,
            model=f"m{k}",
            model_family=f"m{k}",
            family="lab",
            name=f"m{k}",
            prices=(PricePeriod(any_row(rng)),),
        )
        for provider in PROVIDERS
        for k in range(4)
    )
    sources = {"s": Source("s", "2026-11-26", "MIT", "https://example.org")}
    catalog = Catalog(
        version="v", built_on="2026-11-26", sources=sources, aliases={}, deployments=deployments
    )
    discounts = dict(
        zip(PROVIDERS, (Decimal(0), Decimal(rng.randrange(1, 10_000)) / 100, Decimal("33.333")), strict=True)
    )
    own = {
        "id": "own",
        **{f"{name}_usd_per_mtok": Decimal(rng.randrange(1 << 26)) / 1_000_000 for name in CLASSES},
    }
    document = {
        "providers": {
            name: {"base_url": "http://127.0.0.1:1/v1", "discount_percent": percent}
            for name, percent in discounts.items()
        }
        | {"home": {"base_url": "http://127.0.0.1:1/v1", "models": [own]}},
        "tenants": {"default": {"baseline_model": "m1", "fee_bps": rng.choice((0, 1, 250, 10_000))}},
    }
    made = assemble(catalog, read_settings(document, {}), (), START_WEIGHTS, NOW_MS)
    return made, {d.id: discounted(d.prices, discounts[d.provider])[0].prices for d in deployments}


def any_usage(rng: random.Random) -> Usage:
    prompt = rng.choice((rng.randrange(1_000), rng.randrange(1 << 21)))
    cached = rng.randrange(prompt + 1) if rng.random() < 0.5 else 0
    written = rng.randrange(prompt - cached + 1) if rng.random() < 0.5 else 0
    hour = rng.randrange(written + 1) if rng.random() < 0.5 else 0
    output = rng.randrange(20_000)
    tier = "flex" if rng.random() < 0.01 else None
    return Usage(prompt, output, cached, written, output // 3, cache_write_1h=hour, tier=tier)


def any_exchange(rng: random.Random, plan, at_ms: float) -> Metadata:
    """One to three attempts, as an exchange records them: failed ones, billed or not, then the answer."""
    arms = plan.snapshot.spec.arms.arm
    chosen = [Choice(k, arms[k], 1, 1, 1) for k in rng.choices(range(len(arms)), k=rng.choice((1, 1, 2, 3)))]
    account = Account(plan, chosen[0], at_ms)
    for choice in chosen[:-1]:
        usage = any_usage(rng) if rng.random() < 0.7 else None
        account.record(choice, "failed", usage, rng.random(), code="PROVIDER_ERROR")
    usage = any_usage(rng)
    account.record(chosen[-1], "ok", usage, rng.random())
    account.serve(chosen[-1], usage)
    return account.metadata(account.outcome(NOW_MS, at_ms + 1, "ok"), None)


def a_plan(made, state: WorkerState):
    request = ChatRequest(
        model=None,
        options=Options(),
        transcript=Transcript("", "hi", "hi", 2, 1, 0, False, False, False),
        stream=False,
        include_usage=False,
        max_output=None,
        n=1,
        body={},
    )
    return make_plan("req_" + "0" * 32, request, made.tenants["default"], state, NOW_MS)


@pytest.mark.slow
def test_p9_the_cost_of_100_000_exchanges_is_what_their_own_metadata_comes_to_to_the_nano_dollar():
    rng = random.Random(402)
    seen = {"priced": 0, "unknown": 0, "contract": 0, "tiered": 0, "free": 0, "written": 0}
    for _ in range(WORLDS):
        made, listed = any_world(rng)
        plan = a_plan(made, WorkerState("w", compile_snapshot(made.spec), load_head()))
        for i in range(EXCHANGES // WORLDS):
            told = read(metadata_bytes(any_exchange(rng, plan, float(i))))
            cost, fee = recomputed(told), nano(told["platform_fee_usd"])
            assert nano(told["cost_usd"]) == cost, told
            if cost is None:
                seen["unknown"] += 1
                assert any(w.startswith("price_unknown") for w in told["warnings"])
                assert told["savings"] is None
                assert fee == 0
                continue
            seen["priced"] += 1
            seen["free"] += cost == 0
            assert cost == sum(nano(a["cost_usd"]) for a in told["attempts"])
            assert fee == (Decimal(cost) * plan.tenant.fee_bps / 10_000).to_integral_value(ROUND_CEILING)
            if told["direct_cost"] is not None:
                assert nano(told["savings"]) == nano(told["direct_cost"]) - cost
            for attempt in told["attempts"]:
                assert attempt["service_tier"] is None, "what another tier cost is not known"
                if attempt["price"] is not None:
                    check_price(attempt, listed, seen)
    assert seen["priced"] + seen["unknown"] == EXCHANGES
    assert min(seen.values()) > 100, seen


def check_price(attempt: dict, listed: dict, seen: dict) -> None:
    """Each class of a price row is the catalogue's, less the discount, at the tier of the whole prompt."""
    price, arm = attempt["price"], f"{attempt['provider']}/{attempt['model']}"
    contract = attempt["provider"] != "anna"
    assert price["source"] == ("contract" if contract else "list")
    seen["contract"] += contract
    seen["written"] += attempt["cache_write_1h_tokens"] > 0
    row = listed.get(arm)
    if row is None:
        return
    seen["tiered"] += bool(row.tiers) and attempt["input_tokens"] > row.tiers[0].threshold
    expected = row.price_for(attempt["input_tokens"]).billed()
    for name in CLASSES:
        assert price[f"{name}_usd_per_mtok"] * 1_000_000 == getattr(expected, name), (arm, name)


CONFIG = """
[server]
port = 0
state = "sqlite:///{folder}/state.db"
log = "{folder}/log"
store = "{folder}/store"
registry = "{folder}/registry"
[tenants.default]
requests_per_hour = 1_000_000
max_in_flight = 1_000
fee_bps = 125
baseline_model = "claude-sonnet-4-6"
[providers.contract]
base_url = "{url}"
api_key = "sk-1"
catalog = "anthropic"
discount_percent = 12.5
models = ["claude-sonnet-4-6"]
[providers.own]
base_url = "{url}"
api_key = "sk-1"
[[providers.own.models]]
id = "m"
model_family = "claude-sonnet-4-6"
context_window = 200_000
output_limit = 1000
input_usd_per_mtok = 1.000001
output_usd_per_mtok = 2.3
cache_read_usd_per_mtok = 0.1
cache_write_usd_per_mtok = 1.25
"""


class Provider:
    """Answers, breaks and bills at random, as its seed says."""

    def __init__(self) -> None:
        self.rng = random.Random(7)

    def usage(self) -> dict:
        rng = self.rng
        prompt = rng.randrange(10, 900)
        cached = rng.randrange(prompt)
        details = {"cached_tokens": cached, "cache_write_tokens": rng.randrange(prompt - cached + 1)}
        return {
            "prompt_tokens": prompt,
            "completion_tokens": rng.randrange(1, 200),
            "prompt_tokens_details": details,
        }

    async def __call__(self, exchange) -> None:
        rng, tier = self.rng, {}
        luck = rng.random()
        if luck < 0.15:
            await exchange.json({"error": {"message": "busy"}}, "503 Service Unavailable")
            return
        if luck < 0.3:  # an error within a 200, billed
            await exchange.json({"error": {"message": "broke"}, "usage": self.usage()})
            return
        if luck < 0.35:
            tier = {"service_tier": "priority"}
        if not exchange.body.get("stream"):
            message = {"role": "assistant", "content": "hi"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            await exchange.json({"id": "c", "choices": [choice], "usage": self.usage(), **tier})
            return
        await exchange.begin()
        last = b"data: " + orjson.dumps({"id": "c", "choices": [], "usage": self.usage(), **tier}) + b"\n\n"
        broken = luck > 0.9
        for event in (ROLE, chunk_of("h"), last if broken else chunk_of(finish="stop")):
            await exchange.send(event)
        if not broken:
            await exchange.send(last + DONE)
        await exchange.end()


async def ask(client: httpx.AsyncClient, i: int) -> dict:
    """One exchange: its metadata, or the error that tells of its attempts where none gave an answer."""
    fields = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 200, "stream": i % 2 == 0}
    if i % 3 == 0:
        fields |= {"model": "claude-sonnet-4-6"}
    reply = await client.post("/v1/chat/completions", json=fields)
    if reply.status_code != 200:
        return read(reply.content)["error"]
    if not fields["stream"]:
        return read(reply.content)["p402_metadata"]
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if '"p402_metadata"' in line]
    return read(lines[-1].encode())["p402_metadata"]


def test_p9_what_the_gateway_says_it_costs_is_what_it_logs_and_what_it_books(tmp_path):
    async def run() -> tuple[list[dict], dict]:
        async with loopback(Provider()) as provider:
            (tmp_path / "p402.toml").write_text(CONFIG.format(folder=tmp_path, url=provider.url))
            async with gateway(tmp_path) as (_, url), httpx.AsyncClient(base_url=url, timeout=20) as client:
                told = [await ask(client, i) for i in range(300)]
                books = (await client.get("/v1/budgets/explain")).json()
        return told, books

    told, books = asyncio.run(run())
    ended = {row["id"]: row for row in rows(tmp_path) if row["kind"] == "outcome"}
    assert len(ended) == 300
    unknown = refused = 0
    for metadata in told:
        cost, row = recomputed(metadata), ended[metadata["request_id"]]
        assert cost == row["cost_nano"]
        if "cost_usd" in metadata:
            assert nano(metadata["cost_usd"]) == cost
            assert nano(metadata["platform_fee_usd"]) == row["fee_nano"]
        unknown += cost is None
        refused += "cost_usd" not in metadata
    charged = [
        row["hold_nano"] if row["cost_nano"] is None else row["cost_nano"] + row["fee_nano"]
        for row in ended.values()
    ]
    (spent,) = [layer["used"] for layer in books["layers"] if layer["code"] == "DAILY_SPEND_LIMIT_EXCEEDED"]
    assert nano(Decimal(str(spent))) == sum(charged)
    attempts = [a for m in told for a in m["attempts"]]
    sources = {a["price"]["source"] for a in attempts if a["price"]}
    assert sources == {"contract"}
    assert min(unknown, refused) > 0
    assert any(a["status"] == "failed" and a["cost_usd"] for a in attempts)
    assert any(a["cache_write_tokens"] and a["provider"] == "contract" for a in attempts)
    assert {a["provider"] for a in attempts} == {"contract", "own"}


def test_metadata_says_every_class_that_a_usage_has():
    """A class that is added to Usage and not told would make costs that nobody can recompute."""
    priced = {"prompt", "output", "cached", "cache_write", "cache_write_1h"}
    apart = {"reasoning", "estimated", "tier"}
    assert {f.name for f in msgspec.structs.fields(Usage)} == priced | apart


def test_the_contract_that_the_readme_shows_is_one_tenants_and_nobody_elses_price():
    (block,) = [b for b in re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL) if "discount" in b]
    names = ("ANTHROPIC_API_KEY", "ACME_ANTHROPIC_API_KEY")
    found = configure(tomllib.loads(block, parse_float=Decimal), dict.fromkeys(names, "k"))
    made = assemble(load_catalog(), found.settings, (), START_WEIGHTS, NOW_MS)
    snapshot, prices, arms = compile_snapshot(made.spec), made.spec.prices, made.spec.arms
    listed, deal = (snapshot.index[f"{p}/claude-sonnet-4-6"] for p in ("claude", "claude-acme"))
    for column in (prices.input, prices.cache_write, prices.cache_write_1h, prices.output):
        assert column[deal] * 8 == column[listed] * 7 > 0
    assert (prices.contract[listed], prices.contract[deal]) == (False, True)
    for tenant, provider in (("default", "claude"), ("acme", "claude-acme")):
        allowed = snapshot.allowed[snapshot.policies[tenant]]
        assert {arms.provider[k] for k in allowed.nonzero()[0]} == {provider}
        arm, _ = baseline_arm(snapshot, "claude-sonnet-4-6", tenant)
        assert arms.provider[arm] == provider
