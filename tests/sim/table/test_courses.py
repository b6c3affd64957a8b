"""A table's courses: the same for every strategy under a seed, and true to the table."""

import numpy as np
import pytest

from p402.routing.scale import PARAM_ONE
from sim.drawn.tables import open_table
from sim.table.courses import COLD_QUALITY, Feedback, course_of, field_of

HALF = (0.5, 0.5)


def test_arms_are_the_models_and_outcomes_stay_with_them(field):
    assert [m.split("/")[-1] for m in field.models] == sorted(m.split("/")[-1] for m in field.table.models)
    by_name = {m.rsplit("/", 1)[-1]: k for k, m in enumerate(field.table.models)}
    for k, model in enumerate(field.models):
        column = by_name[model.rsplit("/", 1)[-1]]
        assert np.array_equal(field.quality[:, k], field.table.quality[:, column])
        assert np.array_equal(field.cost_usd[:, k], field.table.cost_usd[:, column])


def test_requests_are_what_the_prior_has_not_seen(field):
    assert all(prompt.split != "val" for prompt in field.table.prompts)


def test_a_seed_is_an_order_of_all_prompts(field):
    one, again, other = (course_of(field, seed, HALF, Feedback()) for seed in (1, 1, 2))
    assert np.array_equal(np.sort(one.row), np.arange(len(field.batch)))
    assert np.array_equal(one.row, again.row)
    assert np.array_equal(one.course.batch.key, again.course.batch.key)
    assert not np.array_equal(one.row, other.row)
    assert len({tuple(k) for k in one.course.batch.key.tolist()}) == len(one.row)


def test_outcomes_and_contexts_move_with_their_prompts(field):
    seeded = course_of(field, 3, HALF, Feedback())
    assert np.array_equal(seeded.course.quality, field.quality[seeded.row])
    assert np.array_equal(seeded.course.batch.features, field.batch.features[seeded.row])
    with_texts = course_of(field, 3, HALF, Feedback(), prompts=True)
    assert with_texts.course.prompts == tuple(field.table.prompts[i].text for i in seeded.row)
    assert seeded.course.prompts is None


def test_weights_are_what_every_request_asks_for(field):
    course = course_of(field, 0, (0.75, 0.25), Feedback(), rounds=20).course
    assert len(course) == 20
    assert (course.batch.weights == [0.75 * PARAM_ONE, 0.25 * PARAM_ONE, 0]).all()
    assert (field.utility((0.75, 0.25)) == 0.75 * field.quality + 0.25 * field.cost_score).all()


def test_words_come_late_and_in_part(field):
    course = course_of(field, 0, HALF, Feedback(every_ms=5_000, delay_ms=60_000, judged=0.3)).course
    assert (np.diff(course.ts_ms) == 5_000).all()
    assert (course.due_ms - course.ts_ms == 60_000).all()
    assert 0.15 < course.judged.mean() < 0.45


def test_a_cold_start_knows_no_model_from_another(cold_field, field):
    theta = cold_field.snapshot.spec.posterior.theta
    assert len(set(theta)) == 1
    assert theta[0][0] == COLD_QUALITY * PARAM_ONE
    assert len(set(field.snapshot.spec.posterior.theta)) > 1
    assert cold_field.snapshot.spec.prices == field.snapshot.spec.prices


def test_a_cost_score_is_of_what_was_measured(field):
    assert ((field.cost_score > 0) & (field.cost_score < 1)).all()
    assert np.array_equal(field.cost_score.argmax(axis=1), field.cost_usd.argmin(axis=1))


def test_the_real_table_makes_a_field():
    field = field_of(open_table("paretobandit"))
    assert field.quality.shape == (1_824, 3)
    assert abs(field.quality.max(axis=1).mean() - 0.963) < 0.001


@pytest.mark.parametrize(
    "wrong", [{"every_ms": 0}, {"delay_ms": -1}, {"judged": 1.5}, {"judged": float("nan")}]
)
def test_feedback_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="expected a request every"):
        Feedback(**wrong)
