"""A world's spec: read, written, and refused with the reason."""

import msgspec
import pytest

from p402.errors import ConfigError
from p402.limits import CacheRules
from p402_datasets import paretobandit
from p402_datasets.errors import MissingData
from sim.world import presets
from sim.world.files import JSON, TOML, parse_spec, read_spec, spec_text, write_spec
from sim.world.offer import offer_at
from sim.world.preset import NAMES, preset
from sim.world.spec import CacheSpec, Graded, Repeats, Rows, Spread, TaskSpec, TenantCache, WorldSpec
from tests.sim.world.small import ALDER, CHEAP, DEAR, a_world, changed


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", [TOML, JSON])
def test_every_preset_reads_back_as_it_was_written(name, ending, tmp_path):
    if name == "table":
        _needs_the_wheel()
    spec = preset(name)
    assert parse_spec(spec_text(spec, ending).encode(), ending) == spec
    write_spec(tmp_path / f"world{ending}", spec)
    assert read_spec(tmp_path / f"world{ending}") == spec


def test_a_written_world_leaves_out_what_is_as_usual():
    text = spec_text(a_world())
    assert "tick_s" not in text
    assert "hourly" not in text


def test_presets_are_a_mapping_of_names():
    assert tuple(presets) == NAMES
    assert len(presets) == len(NAMES)
    assert presets["day"].name == "day"
    with pytest.raises(KeyError):
        presets["night"]
    with pytest.raises(ConfigError, match=r"did you mean `storm`.*expected one of day, calm"):
        preset("strom")


def test_the_day_is_as_its_users_expect_it():
    spec = presets["day"]
    assert sum(len(p.models) for p in spec.providers) == 24
    assert len(spec.providers) == 6
    assert len(spec.tasks) >= 6
    assert sum(bool(p.drifts) for p in spec.providers) == 2
    assert sum(len(p.prices) for p in spec.providers) == 1
    assert 8_000 <= spec.arrivals.per_hour * spec.hours <= 10_000


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda: a_world(providers=(changed(ALDER, models=("cheap", "dearr")),)), "did you mean `dear`"),
        (lambda: a_world(providers=(changed(ALDER, models=("cheap",)),)), "models dear are at no provider"),
        (lambda: a_world(providers=(ALDER, ALDER)), "'alder' is there twice"),
        (lambda: a_world(models=(changed(CHEAP, quality={"chat": 0.5}), DEAR)), "no mean for code"),
        (lambda: a_world(models=(changed(CHEAP, reward=Rows(column="x")), DEAR)), "has no `table`"),
        (lambda: a_world(models=(changed(CHEAP, reward=Graded(levels=(1.0, 0.0))), DEAR)), "ascending"),
        (lambda: a_world(models=(changed(CHEAP, appears_h=2.0, retires_h=1.0), DEAR)), "expected it later"),
        (lambda: a_world(tasks=()), "no tasks and no `table`"),
        (lambda: a_world(table="paretobandit"), "no real outcomes"),
        (lambda: a_world(table="paretobandt"), "did you mean `paretobandit`"),
        (
            lambda: a_world(providers=(changed(ALDER, failures={"error": 0.6, "hang": 0.6}),)),
            "failures sum to 1.2",
        ),
        (lambda: a_world(providers=(changed(ALDER, failures={"eror": 0.1}),)), "did you mean `error`"),
        (lambda: a_world(providers=(changed(ALDER, ttft_ms=Spread(median=5, least=9)),)), "outside 9 to"),
        (lambda: a_world(tenants=(changed(a_world().tenants[0], names_task=0.5),)), "have no `texts`"),
        (lambda: a_world(tenants=(changed(a_world().tenants[0], modes={"fast": 1.0}),)), "'fast' is unknown"),
        (
            lambda: a_world(tenants=(changed(a_world().tenants[0], repeats=Repeats(share=1, questions=31)),)),
            "questions is 31, but of task code there are 30; ask for fewer",
        ),
        (
            lambda: a_world(
                tenants=(changed(a_world().tenants[0], repeats=Repeats(share=1)),),
                tasks=(TaskSpec(name="writing"),),
                models=tuple(changed(m, quality={"writing": 0.5}, benchmark={}) for m in (CHEAP, DEAR)),
            ),
            "of task writing nobody wrote any",
        ),
        (lambda: a_world(start=a_world().start.replace(tzinfo=None)), "expected a moment in UTC"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(broken, said):
    with pytest.raises(ValueError, match=said):
        broken()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("hours", -1, r"Expected `float` > 0.*\$.hours"),
        ("hourz", 1, "unknown field `hourz`"),
        ("name", "A B", r"\$.name"),
        ("judges", [{"name": "user", "share": 2}], r"<= 1.0 - at `\$.judges\[0\].share`"),
        ("arrivals", {"per_hour": 1, "hourly": [1.0]}, "length"),
        ("cache", {"entries": 0}, r">= 1 - at `\$.cache.entries`"),
        ("cache", {"near_above": 1.0}, r"< 1.0 - at `\$.cache.near_above`"),
        ("tenants", [{"name": "a", "repeats": {"share": 2}}], r"<= 1.0 - at `\$.tenants\[0\].repeats.share`"),
        ("tenants", [{"name": "a", "repeats": {"share": 1, "zipff": 1}}], "unknown field `zipff`"),
        ("tenants", [{"name": "a", "cache": {"similarity": 0.9}}], r">= 0.92 - at .*cache.similarity"),
        ("tenants", [{"name": "a", "cache": {"ttl_s": 0}}], r">= 1 - at .*cache.ttl_s"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_its_path(field, value, said):
    plain = {**msgspec.to_builtins(a_world()), field: value}
    with pytest.raises(ConfigError, match=said):
        parse_spec(msgspec.json.encode(plain), JSON)


@pytest.mark.parametrize("ending", [TOML, JSON])
def test_what_repeats_and_how_it_is_kept_reads_back(ending):
    tenant = changed(
        a_world().tenants[0],
        repeats=Repeats(share=0.5, questions=7, zipf=0.5, reworded=0.1, near=0.9, follow_ups=1.0),
        cache=TenantCache(asks=0.2, asks_ttl_s=60, in_cost_mode=False, ttl_s=90, similarity=0.95),
    )
    spec = a_world(tenants=(tenant,), cache=CacheSpec(compares=False, entries=3, reworded_above=0.9))
    assert parse_spec(spec_text(spec, ending).encode(), ending) == spec


def test_a_gateway_has_the_tenants_rules_of_the_cache():
    tenant = changed(a_world().tenants[0], cache=TenantCache(in_cost_mode=False, ttl_s=90, similarity=0.95))
    rules = offer_at(a_world(tenants=(tenant,)), 0.0).tenants["shop"].cache
    assert rules == CacheRules(in_cost_mode=False, ttl_s=90, similarity=0.95)


def test_a_file_that_cannot_be_read_says_so(tmp_path):
    with pytest.raises(ConfigError, match=r"world\.yaml: its name ends in '\.yaml'"):
        read_spec(tmp_path / "world.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_spec(tmp_path / "absent.toml")
    (tmp_path / "torn.toml").write_text("name = ")
    with pytest.raises(ConfigError, match=r"torn\.toml: not TOML"):
        read_spec(tmp_path / "torn.toml")


def test_names_that_toml_cannot_leave_bare_are_quoted():
    spec = a_world(
        models=(changed(CHEAP, id="a.b:c"), DEAR), providers=(changed(ALDER, models=("a.b:c", "dear")),)
    )
    assert parse_spec(spec_text(spec).encode(), TOML) == spec


def test_the_table_has_real_prices_and_scores():
    _needs_the_wheel()
    spec = presets["table"]
    assert isinstance(spec, WorldSpec)
    assert {m.id for m in spec.models} == {"llama-3.1-8b-instruct", "mistral-large-2512", "gemini-2.5-pro"}
    assert all(m.benchmark for m in spec.models)


def _needs_the_wheel() -> None:
    try:
        paretobandit.files()
    except MissingData as error:
        pytest.skip(str(error))
