"""The comparison's side of the world: which world, of what size, and what its readers are told."""

from pathlib import Path

import msgspec
import pytest

from p402.errors import ConfigError, P402Error
from sim.compare.job import jobs_of
from sim.compare.played import canonical, expected_requests, play, setting_of, sized, spec_of, strategy_of
from sim.compare.rounds import run_of, same_traffic
from sim.world.files import write_spec
from sim.world.spec import Burst

TINY = Path(__file__).with_name("tiny.json")


@pytest.fixture(scope="module")
def spec():
    return spec_of(None, TINY)


def test_a_world_is_known_by_what_it_says_and_not_by_its_file(spec, tmp_path):
    write_spec(tmp_path / "tiny.toml", spec)
    assert canonical(spec_of(None, tmp_path / "tiny.toml")) == canonical(spec)
    assert msgspec.json.decode(canonical(spec))["name"] == "tiny"


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match=r"--preset dya: expected one of .*did you mean `day`"):
        spec_of("dya", None)


def test_the_preset_day_is_there():
    assert setting_of(spec_of(None, None)).name == "day"


def test_an_unknown_strategy_names_the_nearest():
    with pytest.raises(P402Error, match="did you mean `linucb`"):
        strategy_of("linucp")


def test_a_world_of_another_size_has_the_same_hours_and_events(spec):
    larger = sized(spec, 1_234)
    assert expected_requests(larger) == pytest.approx(1_234)
    assert (larger.hours, larger.providers) == (spec.hours, spec.providers)
    assert sized(spec, None) is spec


def test_bursts_are_counted(spec):
    burst = msgspec.structs.replace(spec.arrivals, bursts=(Burst(at_h=0.5, hours=0.25, factor=3.0),))
    assert expected_requests(msgspec.structs.replace(spec, arrivals=burst)) == pytest.approx(300.0 * 1.5)


def test_so_many_requests_come_as_are_expected(spec):
    counts = []
    for seed in range(4):
        (job,) = jobs_of(canonical(spec), ["static"], [seed], "code")
        counts.append(play(job).num_rows)
    assert (
        300 - 4 * 30 < sum(counts) / 4 < 300 + 4 * 30
    )  # sessions of two turns: sd of a mean of four about 15


def test_readers_are_told_of_the_world_and_its_events(spec):
    told = setting_of(spec)
    assert (told.arms, told.providers, told.models, told.tenants, told.baseline) == (4, 2, 2, 2, "large")
    (event,) = told.happenings
    assert event.at_ms - told.start_ms == 1_800_000
    assert event.what == "sim-one/small silently loses 0.2 of quality"
    assert told.invented == "Simulated: no request, price or answer here is real"
    assert told.worth.startswith("0.5 times quality plus 0.5 times a cost score")


def test_what_is_real_in_a_world_of_real_outcomes_is_said():
    assert setting_of(spec_of("table", None)).invented == (
        "Simulated: only prompts, qualities and lengths of answers are real, those of paretobandit"
    )


def test_the_traffic_of_a_seed_is_every_strategys(spec):
    static, p402 = (
        run_of(play(job), job.strategy, 1)
        for job in jobs_of(canonical(spec), ["static", "p402"], [1], "code")
    )
    same_traffic(static, p402)
