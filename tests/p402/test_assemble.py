"""What is on offer, configured and learned becomes one snapshot: its arms, prices, beliefs and rules."""

import tomllib
from dataclasses import replace
from decimal import Decimal

import pytest

from p402.assemble import START_WEIGHTS, assemble
from p402.assemble.columns import BENCHMARK_SD, BORROWED_SD, FAST_TTFT_MS, USUAL_TTFT_MS
from p402.assemble.offers import offers_of
from p402.catalog.benchmarks import PRIOR_SD, Benchmark
from p402.catalog.defaults import searches
from p402.catalog.model import Capabilities, Catalog, Deployment, Source
from p402.catalog.price import PricePeriod, PriceRow, Tier, TokenPrices
from p402.errors import ConfigError
from p402.events import RowInputs
from p402.flow.plan import baseline_arm
from p402.routing.compiled import compile_snapshot, parts_of
from p402.routing.decide import work
from p402.routing.features import FEATURES
from p402.routing.live import LiveState
from p402.routing.rows import to_batch
from p402.routing.scale import COUNT_ONE, PARAM_ONE, param
from p402.routing.spec import CAPABILITIES, MODES, TASKS
from p402.settings import read_settings
from p402.store.catalog import load_catalog

NOW = 1_795_384_000_000
KEYED = 'base_url = "http://127.0.0.1:1/v1"\napi_key = "k"\n'


def price(into, out, read=None):
    return TokenPrices(input=into, cache_read=read, output=out)


def period(into, out, from_ms=None, **kw):
    return PricePeriod(prices=PriceRow(base=price(into, out), **kw), from_ms=from_ms)


def deployment(name, family="lab", *, model_family=None, prices=(), **kw):
    provider, model = name.split("/", 1)
    return Deployment(
        provider=provider,
        model=model,
        model_family=model_family or model,
        family=family,
        name=model,
        prices=prices,
        **kw,
    )


SMALL = Catalog(
    version="v",
    built_on="2026-11-22",
    sources={"s": Source("s", "2026-11-22", "MIT", "https://example.org")},
    aliases={"lab/best-latest": "lab/best-2026"},
    deployments=(
        deployment("lab/best-2026", model_family="best", prices=(period(9_000_000, 30_000_000),)),
        deployment("lab/good", prices=(period(1_000_000, 4_000_000),), context_window=200_000,
                   output_limit=8_000, capabilities=Capabilities(function_calling=True, vision=False)),
        deployment("lab/unpriced"),
        deployment("lab/old", prices=(period(1, 1),), status="removed"),
        deployment("shop/lab/good", model_family="good", prices=(period(1_100_000, 4_400_000),)),
        deployment("shop/best-2026", model_family="best", prices=(period(9_900_000, 33_000_000),)),
        deployment("groq/quick", "open", prices=(period(50_000, 80_000),)),
        deployment(
            "lab/tiered",
            prices=(period(2, 4, tiers=(Tier(100, price(3, 9)), Tier(500, price(7, 8)))),),
        ),
        deployment("lab/moving", prices=(period(10, 20), period(11, 22, from_ms=NOW + 5_000))),
    ),
)  # fmt: skip


def built(toml, catalog=SMALL, benchmarks=(), now_ms=NOW, balanced=START_WEIGHTS):
    settings = read_settings(tomllib.loads(toml, parse_float=Decimal), {})
    return assemble(catalog, settings, benchmarks, balanced, now_ms)


def providers(*names, more=""):
    return "".join(f"[providers.{name}]\n{KEYED}" for name in names) + more


def column(assembly, part, name):
    return dict(zip(assembly.spec.arms.arm, getattr(getattr(assembly.spec, part), name), strict=True))


def denied(assembly, tenant="default"):
    return set(next(p.denied for p in assembly.spec.tenants.policies if p.name == tenant))


class TestOffers:
    def test_a_provider_without_a_list_offers_every_active_deployment_it_has(self):
        made = built(providers("lab"))
        assert set(made.spec.arms.arm) == {
            "lab/best-2026",
            "lab/good",
            "lab/unpriced",
            "lab/tiered",
            "lab/moving",
        }
        assert made.spec.arms.arm == tuple(sorted(made.spec.arms.arm))
        assert column(made, "arms", "model")["lab/best-2026"] == "best"
        assert made.upstream_model["lab/best-2026"] == "best-2026"

    def test_a_list_offers_those_it_names_and_only_so_retired_ones(self):
        made = built(
            f'[providers.lab]\n{KEYED}models = ["good", "lab/old"]\n'
            '[tenants.default]\nbaseline_model = "good"'
        )
        assert made.spec.arms.arm == ("lab/good", "lab/old")

    def test_a_resellers_model_is_the_resellers_not_the_labs_of_the_same_id(self):
        made = built(
            f'[providers.shop]\n{KEYED}models = ["lab/good"]\n[tenants.default]\nbaseline_model = "good"'
        )
        assert made.spec.arms.arm == ("shop/lab/good",)
        assert made.spec.prices.input == (1_100_000,)
        assert made.upstream_model == {"shop/lab/good": "lab/good"}
        assert made.spec.arms.model == ("good",)

    def test_a_proxy_may_offer_what_the_catalogue_has_elsewhere(self):
        made = built(
            f'[providers.proxy]\n{KEYED}models = ["lab/good"]\n[tenants.default]\nbaseline_model = "good"'
        )
        assert made.spec.arms.arm == ("proxy/good",)
        assert made.spec.prices.input == (1_000_000,)

    def test_one_catalogue_list_may_serve_two_providers(self):
        made = built(
            f'[providers.eu]\n{KEYED}catalog = "groq"\n'
            f'[providers.us]\n{KEYED}catalog = "groq"\nsimulated = true\n'
            '[tenants.default]\nbaseline_model = "quick"'
        )
        assert made.spec.arms.arm == ("eu/quick", "us/quick")
        assert made.spec.arms.simulated == (False, True)
        assert made.spec.posterior.ttft_ms == (FAST_TTFT_MS, FAST_TTFT_MS)

    def test_a_model_of_ones_own_is_offered_as_it_is_described(self):
        made = built(
            f'[providers.home]\n{KEYED}simulated = true\n[[providers.home.models]]\nid = "llama"\n'
            'upstream_model = "llama-q4"\nmodel_family = "llama-3"\nfamily = "meta"\n'
            "context_window = 130000\n"
            'output_limit = 4000\ncapabilities = ["chat", "vision"]\ninput_usd_per_mtok = 0.25\n'
            "output_usd_per_mtok = 1\ncache_read_usd_per_mtok = 0.05\n"
            '[tenants.default]\nbaseline_model = "llama-3"'
        )
        arms, prices = made.spec.arms, made.spec.prices
        assert (arms.arm, arms.provider, arms.model, arms.family) == (
            ("home/llama",), ("home",), ("llama-3",), ("meta",),
        )  # fmt: skip
        named = {c for bit, c in enumerate(CAPABILITIES) if arms.capabilities[0] >> bit & 1}
        assert named == {"chat", "vision", "long_context"}
        assert (prices.input, prices.cache_read, prices.output) == ((250_000,), (50_000,), (1_000_000,))
        assert made.upstream_model == {"home/llama": "llama-q4"}
        assert made.spec.posterior.ttft_ms == (USUAL_TTFT_MS,)

    def test_capabilities_are_what_a_source_says_and_no_more(self):
        made = built(providers("lab"))
        for arm, expected in (
            ("lab/good", {"chat", "function_calling", "code", "long_context"}),
            ("lab/unpriced", {"chat"}),
        ):
            mask = column(made, "arms", "capabilities")[arm]
            assert {c for bit, c in enumerate(CAPABILITIES) if mask >> bit & 1} == expected

    @pytest.mark.parametrize(
        ("toml", "said"),
        [
            (providers("labb"), 'the catalogue has no provider "labb"; did you mean `lab`'),
            (f'[providers.x]\n{KEYED}catalog = "gruq"', "did you mean `groq`"),
            (f'[providers.lab]\n{KEYED}models = ["godo"]', "did you mean `lab/good`"),
        ],
    )
    def test_an_unknown_provider_or_model_names_the_nearest(self, toml, said):
        with pytest.raises(ConfigError) as raised:
            built(toml)
        assert said in str(raised.value)
        assert "providers." in str(raised.value)


class TestPrices:
    def test_an_unknown_price_is_null_and_never_chosen(self):
        made = built(providers("lab"))
        assert column(made, "prices", "input")["lab/unpriced"] is None
        snapshot = compile_snapshot(made.spec)
        assert not snapshot.allowed[:, snapshot.index["lab/unpriced"]].any()
        assert snapshot.allowed[0, snapshot.index["lab/good"]]

    def test_several_tiers_are_taken_at_the_first_threshold_and_the_dearest_price(self):
        made = built(providers("lab"))
        found = [
            column(made, "prices", n)["lab/tiered"] for n in ("threshold", "input_above", "output_above")
        ]
        assert found == [100, 7, 9]

    def test_cache_writes_have_their_prices_in_every_tier_and_none_where_nobody_tells_one(self):
        below, above = TokenPrices(100, 10, 125, 500, 200), TokenPrices(200, 20, 250, 750, 400)
        told = deployment("ant/x", prices=(PricePeriod(PriceRow(below, (Tier(9, above),))),))
        catalog = replace(SMALL, deployments=(*SMALL.deployments, told))
        names = ("cache_write", "cache_write_1h", "cache_write_above", "cache_write_1h_above")
        made = built(providers("ant", "groq"), catalog)
        assert [column(made, "prices", n)["ant/x"] for n in names] == [125, 200, 250, 400]
        assert [column(made, "prices", n)["groq/quick"] for n in names] == [None] * 4
        nobody = built(providers("groq")).spec.prices
        assert [getattr(nobody, n) for n in (*names, "contract")] == [()] * 5

    def test_prices_of_ones_own_are_as_they_stand_there_whatever_the_discount(self):
        own = built(
            f"[providers.deal]\n{KEYED}discount_percent = 12.5\n[[providers.deal.models]]\n"
            'id = "own"\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = 2\n'
            "cache_write_usd_per_mtok = 1.25\ncache_write_1h_usd_per_mtok = 2\n"
        )
        names = ("input", "output", "cache_write", "cache_write_1h", "contract")
        found = [column(own, "prices", n)["deal/own"] for n in names]
        assert found == [1_000_000, 2_000_000, 1_250_000, 2_000_000, True]

    def test_a_discount_is_taken_off_the_catalogues_prices_at_every_date(self):
        deal = f'[providers.deal]\n{KEYED}catalog = "lab"\ndiscount_percent = '
        made = built(f"{deal}12.5\n" + providers("lab"))
        into, out = column(made, "prices", "input"), column(made, "prices", "output")
        assert (into["deal/best-2026"], into["lab/best-2026"]) == (7_875_000, 9_000_000)
        assert (out["deal/best-2026"], out["lab/best-2026"]) == (26_250_000, 30_000_000)
        assert into["deal/unpriced"] is None
        contract = column(made, "prices", "contract")
        assert (contract["deal/good"], contract["lab/good"]) == (True, False)
        assert made.next_change_ms == NOW + 5_000
        later = built(f"{deal}50\n", now_ms=NOW + 5_000)
        assert column(later, "prices", "input")["deal/moving"] == 6  # half of 11 pico-USD, half up

    def test_a_discount_says_nothing_of_quality(self):
        plain = built(providers("lab", "groq"))
        deal = built(f"[providers.lab]\n{KEYED}discount_percent = 90\n" + providers("groq"))
        assert deal.spec.posterior == plain.spec.posterior
        assert deal.spec.prices != plain.spec.prices

    def test_a_dated_price_changes_the_snapshot_at_the_instant_it_is_due(self):
        before = built(providers("lab"))
        assert before.next_change_ms == NOW + 5_000
        assert column(before, "prices", "input")["lab/moving"] == 10
        just_before = built(providers("lab"), now_ms=NOW + 4_999)
        assert compile_snapshot(just_before.spec).id == compile_snapshot(before.spec).id
        after = built(providers("lab"), now_ms=before.next_change_ms)
        assert column(after, "prices", "input")["lab/moving"] == 11
        assert compile_snapshot(after.spec).id != compile_snapshot(before.spec).id
        assert after.next_change_ms is None

    def test_the_same_inputs_give_the_same_bytes(self):
        toml = providers("shop", "lab", "groq", more='[tenants.b]\ndeny_models = ["good"]\n[tenants.a]\n')
        scores = [Benchmark("good", "code", 0.7, 100, "here", "2026-11-01", None)]
        one, two = built(toml, benchmarks=scores), built(toml, benchmarks=list(scores))
        assert parts_of(one.spec) == parts_of(two.spec)
        turned = providers("groq", "lab", "shop", more='[tenants.a]\n[tenants.b]\ndeny_models = ["good"]\n')
        assert parts_of(built(turned, benchmarks=scores).spec) == parts_of(one.spec)


class TestBeliefs:
    def test_without_a_score_an_arm_has_a_wide_prior_that_says_so(self):
        made = built(providers("lab"))
        assert set(made.spec.posterior.quality_source) == {"prior"}
        for row in made.spec.posterior.theta:
            assert row[1:] == (0,) * (len(row) - 1)  # the same for every task
        assert {s for row in made.spec.posterior.sd for s in row} == {param(PRIOR_SD)}

    def test_a_score_moves_its_task_and_is_named_as_the_source(self):
        score = Benchmark("good", "code", 0.9, 400, "our own suite", "2026-11-01", None)
        made = built(providers("lab", "shop"), benchmarks=[score])
        for arm in ("lab/good", "shop/lab/good"):
            theta = column(made, "posterior", "theta")[arm]
            assert (theta[0] + theta[1 + TASKS.index("code")]) / PARAM_ONE == pytest.approx(0.9, abs=1e-5)
            plain = column(built(providers("lab", "shop")), "posterior", "theta")[arm][0] / PARAM_ONE
            borrowed = (theta[0] + theta[1 + TASKS.index("math")]) / PARAM_ONE
            assert borrowed == pytest.approx((0.9 + plain) / 2, abs=1e-5)  # half way to the prior
            sd = [s / PARAM_ONE for s in column(made, "posterior", "sd")[arm]]
            sampling = (0.9 * 0.1 / 400 + BENCHMARK_SD**2) ** 0.5
            assert sd[TASKS.index("code")] == pytest.approx(sampling, abs=1e-5)
            assert sd[TASKS.index("math")] == pytest.approx(BORROWED_SD, abs=1e-5)
            assert column(made, "posterior", "quality_source")[arm] == "our own suite"
        assert column(made, "posterior", "quality_source")["lab/tiered"] == "prior"

    def test_a_score_of_one_deployment_is_not_its_models(self):
        scores = [
            Benchmark("good", "code", 0.9, None, "public", "2026-11-01", None),
            Benchmark("shop/lab/good", "code", 0.5, None, "measured here", "2026-11-02", None),
        ]
        made = built(providers("lab", "shop"), benchmarks=scores)
        code = 1 + TASKS.index("code")
        worth = {arm: (t[0] + t[code]) / PARAM_ONE for arm, t in column(made, "posterior", "theta").items()}
        assert worth["lab/good"] == pytest.approx(0.9, abs=1e-5)
        assert worth["shop/lab/good"] == pytest.approx(0.5, abs=1e-5)

    def test_a_deployments_score_holds_under_any_name_of_its_provider(self):
        score = Benchmark("groq/quick", "chat", 0.8, None, "here", "2026-11-01", None)
        made = built(f'[providers.fast]\n{KEYED}catalog = "groq"\n', benchmarks=[score])
        assert column(made, "posterior", "quality_source")["fast/quick"] == "here"

    def test_a_score_of_nobody_changes_nothing(self):
        score = Benchmark("nobody", "chat", 0.8, None, "here", "2026-11-01", None)
        one, two = built(providers("lab")), built(providers("lab"), benchmarks=[score])
        assert parts_of(one.spec) == parts_of(two.spec)


class TestTenants:
    RULES = (
        '[tenants.default]\n[tenants.only]\nallow_providers = ["groq"]\n'
        '[tenants.not]\ndeny_providers = ["groq"]\n'
        '[tenants.model]\nallow_models = ["good"]\n[tenants.arm]\ndeny_models = ["lab/good", "best"]\n'
    )

    @pytest.mark.parametrize(
        ("tenant", "may"),
        [
            (
                "default",
                {"lab/best-2026", "lab/good", "lab/unpriced", "lab/tiered", "lab/moving", "groq/quick"},
            ),
            ("only", {"groq/quick"}),
            ("not", {"lab/best-2026", "lab/good", "lab/unpriced", "lab/tiered", "lab/moving"}),
            ("model", {"lab/good"}),
            ("arm", {"lab/unpriced", "lab/tiered", "lab/moving", "groq/quick"}),
        ],
    )
    def test_a_rule_allows_and_denies_by_provider_model_and_arm(self, tenant, may):
        made = built(providers("lab", "groq", more=self.RULES))
        assert set(made.spec.arms.arm) - denied(made, tenant) == may

    @pytest.mark.parametrize("rule", ["allow_providers", "deny_providers", "allow_models", "deny_models"])
    def test_a_rule_that_names_nobody_is_an_error_that_names_the_nearest(self, rule):
        wrong, right = ("labb", "lab") if "providers" in rule else ("goood", "good")
        with pytest.raises(ConfigError) as raised:
            built(providers("lab", "groq", more=f'[tenants.t]\n{rule} = ["{wrong}"]'))
        assert f"tenants.t.{rule}" in str(raised.value)
        assert f"`{right}`" in str(raised.value)

    def test_a_rule_may_not_name_an_arm_that_is_there_only_to_be_priced(self):
        with pytest.raises(ConfigError, match=r"tenants\.default\.deny_models"):
            built(
                providers("groq", more='[tenants.default]\nbaseline_model = "best"\ndeny_models = ["best"]')
            )


class TestBaselines:
    def toml(self, baseline, *names):
        return providers(*names, more=f'[tenants.default]\nbaseline_model = "{baseline}"')

    @pytest.mark.parametrize("name", ["best", "lab/best-2026", "best-2026", "lab/best-latest"])
    def test_a_model_that_is_not_configured_is_priced_by_a_hidden_arm(self, name):
        made = built(self.toml(name, "groq"))
        assert made.tenants["default"].baseline_model == "best"
        assert made.spec.arms.arm == ("groq/quick", "lab/best-2026")  # the lab's own price, not a reseller's
        assert denied(made) == {"lab/best-2026"}
        assert "lab/best-2026" not in made.upstream_model
        assert column(made, "prices", "input")["lab/best-2026"] == 9_000_000

    @pytest.mark.parametrize("name", ["best", "lab/best-2026", "best-2026", "lab/best-latest"])
    def test_a_model_that_is_configured_needs_no_other_arm(self, name):
        made = built(self.toml(name, "lab"))
        assert made.tenants["default"].baseline_model == "best"
        assert denied(made) == set()

    def test_every_tenant_denies_what_is_there_only_to_be_priced(self):
        made = built(self.toml("best", "groq") + '\n[tenants.b]\nallow_providers = ["groq"]\n[tenants.c]\n')
        assert all("lab/best-2026" in denied(made, t) for t in ("default", "b", "c"))
        snapshot = compile_snapshot(made.spec)
        assert not snapshot.allowed[:, snapshot.index["lab/best-2026"]].any()

    def test_a_model_of_ones_own_without_a_price_is_priced_as_the_catalogue_does(self):
        own = f'[providers.home]\n{KEYED}[[providers.home.models]]\nid = "x"\nmodel_family = "best"\n'
        made = built(own + '[tenants.default]\nbaseline_model = "best"')
        assert made.tenants["default"].baseline_model == "best"
        assert set(made.spec.arms.arm) == {"home/x", "lab/best-2026"}

    def test_a_model_without_any_price_stays_a_baseline_of_unknown_cost(self):
        made = built(self.toml("unpriced", "lab"))
        assert made.tenants["default"].baseline_model == "unpriced"

    def test_a_model_of_ones_own_is_never_replaced_by_the_catalogues_of_the_same_id(self):
        own = (
            f'[providers.lab]\n{KEYED}[[providers.lab.models]]\nid = "best-2026"\nmodel_family = "mine"\n'
            "input_usd_per_mtok = 1\noutput_usd_per_mtok = 2\n"
        )
        made = built(own + '[tenants.default]\nbaseline_model = "best"')
        assert column(made, "prices", "input")["lab/best-2026"] == 1_000_000
        assert made.upstream_model == {"lab/best-2026": "best-2026"}
        assert "shop/best-2026" in denied(made)  # the price is taken where the id is free
        assert made.tenants["default"].baseline_model == "best"

    @pytest.mark.parametrize(
        "deal",
        [
            'discount_percent = 40\nmodels = ["best-2026"]\n',
            (
                '[[providers.theirs.models]]\nid = "best-2026"\nmodel_family = "best"\n'
                "input_usd_per_mtok = 1\noutput_usd_per_mtok = 2\n"
            ),
        ],
    )
    def test_anothers_contract_is_no_price_of_a_tenants_baseline(self, deal):
        made = built(
            f'[providers.theirs]\n{KEYED}catalog = "lab"\n{deal}'
            + providers("groq")
            + '[tenants.default]\nbaseline_model = "best"\nallow_providers = ["groq"]\n'
            '[tenants.partner]\nallow_providers = ["theirs"]\n'
        )
        assert set(made.spec.arms.arm) == {"groq/quick", "lab/best-2026", "theirs/best-2026"}
        snapshot = compile_snapshot(made.spec)
        for tenant, arm in (("default", "lab/best-2026"), ("partner", "theirs/best-2026")):
            assert made.spec.arms.arm[baseline_arm(snapshot, "best", tenant)[0]] == arm

    def test_a_price_that_only_another_pays_is_the_baselines_where_there_is_no_other(self):
        made = built(
            f'[providers.home]\n{KEYED}[[providers.home.models]]\nid = "x"\ninput_usd_per_mtok = 1\n'
            "output_usd_per_mtok = 2\n" + providers("groq") + '[tenants.default]\nbaseline_model = "x"\n'
            'deny_models = ["x"]\n[tenants.b]\nallow_models = ["x"]\ndeny_models = []\n'
        )
        arm, _ = baseline_arm(compile_snapshot(made.spec), "x", "default")
        assert made.spec.arms.arm[arm] == "home/x"

    def test_an_unknown_baseline_names_the_nearest(self):
        with pytest.raises(ConfigError) as raised:
            built(self.toml("bset", "lab"))
        assert "tenants.default.baseline_model" in str(raised.value)
        assert "`best`" in str(raised.value)

    def test_who_names_none_has_the_catalogues_own_and_it_can_be_priced(self):
        made = built(providers("groq"), catalog=load_catalog())
        assert made.tenants["default"].baseline_model == "gpt-5.4"
        assert "openai/gpt-5.4" in denied(made)
        assert column(made, "prices", "output")["openai/gpt-5.4"] > 0

    def test_a_catalogue_without_it_leaves_the_baseline_open(self):
        assert built(providers("lab")).tenants["default"].baseline_model is None


DEARER = '{id = "dearer", input_usd_per_mtok = 1.5, output_usd_per_mtok = 6}'


def incumbents_share(loss):
    """Propensity of the best arm of balanced mode under a cap on exploration loss."""
    toml = f"[server]\nexploration_loss = {loss}\n" + providers("lab") + 'models = ["good", ' + DEARER + "]"
    snapshot = compile_snapshot(built(toml).spec)
    asked = RowInputs(
        mode="balanced",
        features=[0] * len(FEATURES),
        task=0,
        prompt_tokens=1_000,
        prompt_bound=2_000,
        expected_output=500,
        ceiling_pico=10**12,
    )
    batch = to_batch(snapshot, ("req_" + "0" * 32,), (asked,), (LiveState.at_start(snapshot.n_arms),), (0,))
    return work(snapshot, batch).counts.max() / COUNT_ONE


class TestModes:
    def test_p7_balanced_starts_at_half_cost_and_half_quality(self):
        balanced = built(providers("lab")).spec.policy.variants[0][MODES.index("balanced")]
        assert (balanced.quality, balanced.cost, balanced.speed) == (PARAM_ONE // 2, PARAM_ONE // 2, 0)

    def test_published_weights_change_balanced_mode_and_no_other(self):
        one = built(providers("lab")).spec.policy.variants[0]
        two = built(providers("lab"), balanced=(700_000, 348_576, 0)).spec.policy.variants[0]
        assert one[:3] == two[:3]
        assert (two[3].quality, two[3].cost, two[3].speed) == (700_000, 348_576, 0)

    def test_what_exploration_may_cost_is_a_setting_and_a_quarter_of_it_for_one_objective(self):
        caps = {
            toml: [m.loss_cap for m in built(toml + providers("lab")).spec.policy.variants[0]]
            for toml in ("", "[server]\nexploration_loss = 0.02\n", "[server]\nexploration_loss = 0.1\n")
        }
        usual, same, more = caps.values()
        assert usual == same == [param(0.005), param(0.005), param(0.005), param(0.02)]
        assert more == [param(0.025), param(0.025), param(0.025), param(0.1)]

    def test_the_less_exploration_may_cost_the_surer_is_the_incumbent(self):
        shares = [incumbents_share(loss) for loss in ("0.5", "0.02", "0.001", "0.0001")]
        assert shares == sorted(shares)
        assert len(set(shares)) == 4
        assert shares[0] < 0.6 < 0.95 < shares[-1]

    def test_p4_the_chain_names_its_arms_as_they_are_configured(self):
        names = ("anthropic", "google")
        toml = providers(*names, more=f'[providers.ds]\n{KEYED}catalog = "deepseek"\n')
        cost = built(toml, catalog=load_catalog()).spec.policy.variants[0][MODES.index("cost")]
        assert cost.chain == (
            "ds/deepseek-flash",
            "anthropic/claude-haiku-5-5",
            "google/gemini-3.1-flash-lite",
        )

    def test_an_arm_that_is_there_only_to_be_priced_is_in_no_chain(self):
        toml = providers("groq", more='[tenants.default]\nbaseline_model = "deepseek-flash"')
        made = built(toml, catalog=load_catalog())
        assert "deepseek/deepseek-flash" in made.spec.arms.arm
        assert made.spec.policy.variants[0][MODES.index("cost")].chain == ()


def test_the_whole_catalogue_assembles_within_the_bounds_of_exact_arithmetic():
    catalog = load_catalog()
    names = sorted({d.provider for d in catalog.deployments if d.status == "active"})[:60]
    made = built(providers(*names), catalog=catalog)
    snapshot = compile_snapshot(made.spec)
    assert snapshot.n_arms > 1_000
    assert snapshot.price_known.sum() > 900


def test_no_arm_at_all_is_an_error():
    with pytest.raises(ConfigError, match="no arm"):
        built("")


def test_a_model_that_searches_by_itself_is_offered_only_where_it_is_named() -> None:
    """Its searches are billed by use, beside the tokens whose prices are all that the catalogue has."""
    catalog = load_catalog()
    names = (
        "perplexity/sonar-pro",
        "openai/o3-deep-research",
        "perplexity/llama-3.1-sonar-small-128k-online",
    )
    assert all(catalog.find(f"openrouter/{name}") for name in names)

    def offered(table: str) -> set[str]:
        text = f"[providers.openrouter]\n{KEYED}{table}"
        settings = read_settings(tomllib.loads(text), {})
        return set(offered_by(catalog, settings.providers["openrouter"]))

    listed = offered("")
    assert len(listed) > 100
    assert not [name for name in listed if searches(name)]
    assert listed.isdisjoint(names)
    assert offered(f'models = ["{names[0]}"]') == {names[0]}
    assert not searches("nousresearch/hermes-4-70b")
    assert not searches("openai/gpt-rosalind-research")


def offered_by(catalog, provider) -> list[str]:
    return [offer.deployment.model for offer in offers_of(catalog, provider)]
