"""Parts of a model of a table: scaling, trees, terms of texts, the stack and its calibration."""

import jax
import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from services.training.evaluation.calibrated import chance_limit, equal_mass_error
from services.training.runs.stacking import bent, fit_bend, fit_stack
from services.training.runs.table_inputs import fit_table_scaling, table_inputs, tree_inputs
from services.training.runs.text_reading import fit_text_reading
from services.training.runs.trees import boosted, fit_trees, trees_logit
from tests.support import rows_of_tables


def read(scaling, numbers, codes):
    run = jax.jit(table_inputs, static_argnums=3)
    return np.asarray(run(scaling.weights, np.float32(numbers), np.int32(codes), scaling.width))


def test_numbers_become_ranks_of_mean_zero_and_spread_one_and_keep_their_order():
    rows = rows_of_tables.cells(1_000)
    scaling = fit_table_scaling(rows, rows_of_tables.COLUMNS)
    inputs = read(scaling, rows.numbers, rows.codes)
    assert inputs.shape == (1_000, scaling.width)
    assert np.abs(inputs[:, 0].mean()) < 0.02
    assert np.abs(inputs[:, 0].std() - 1) < 0.02
    order = np.argsort(rows.numbers[:, 0], kind="stable")
    assert (np.diff(inputs[order, 0]) >= 0).all()
    wild = read(scaling, [[1e30, -1e30, 1]], [[0]])
    assert np.abs(wild).max() < 5


def test_a_missing_cell_is_zero_and_flagged_and_each_word_has_a_column_of_its_own():
    rows = rows_of_tables.cells(400)
    scaling = fit_table_scaling(rows, rows_of_tables.COLUMNS)
    inputs = read(scaling, [[np.nan, 5.0, 1.0]] * 4, [[-1], [0], [2], [50]])
    assert (inputs[:, 0] == 0).all()
    assert inputs[:, 3:6].tolist() == [[1.0, 0.0, 0.0]] * 4
    assert inputs[:, 6:].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_a_word_met_in_fewer_than_ten_rows_is_not_told_apart():
    rows = rows_of_tables.cells(400)
    rows.codes[:] = np.where(np.arange(400) < 9, 2, 0)[:, None]
    scaling = fit_table_scaling(rows, rows_of_tables.COLUMNS)
    assert read(scaling, [[1, 1, 1]], [[2]])[0, 6:].tolist() == [0, 0, 0, 0]


def test_trees_get_a_number_for_each_word_and_minus_one_for_those_never_met():
    rows = rows_of_tables.cells(400)
    scaling = fit_table_scaling(rows, rows_of_tables.COLUMNS)
    numbers = np.float32([[np.nan, 5.0, 1.0]] * 4)
    codes = np.int32([[-1], [0], [2], [50]])
    grown_on = np.asarray(jax.jit(tree_inputs)(scaling.weights, numbers, codes))
    design = read(scaling, numbers, codes)
    assert (grown_on[:, :6] == design[:, :6]).all()
    assert grown_on[:, 6].tolist() == [6, 7, 9, -1]


def test_trees_as_arrays_say_what_the_library_says():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((600, 5)).astype(np.float32)
    labels = inputs[:, 0] * inputs[:, 1] + rng.standard_normal(600) > 0
    trees = fit_trees(inputs, labels, 3)
    said = jax.jit(trees_logit, static_argnums=2)(trees.weights, inputs, trees.depth)
    expected = boosted(3).fit(inputs, labels).decision_function(inputs)
    np.testing.assert_allclose(said, expected, atol=1e-4)


def test_terms_are_weighted_as_the_library_weights_them():
    rows = rows_of_tables.texts(200)
    reading = fit_text_reading(rows)
    joined = [" . ".join(row) for row in rows.texts]
    library = TfidfVectorizer(
        token_pattern=r"(?u)\b\w[\w']*\b|[!?]", sublinear_tf=True, min_df=2, ngram_range=(1, 2)
    )
    expected = library.fit_transform(joined)
    np.testing.assert_allclose(
        reading.terms[0].matrix(rows.texts).toarray(), expected.toarray(), atol=1e-5
    )
    assert reading.terms[0].names == tuple(library.get_feature_names_out())


def test_tokens_keep_the_order_of_words_and_mark_those_never_met():
    rows = rows_of_tables.texts(200)
    reading = fit_text_reading(rows)
    rows.texts[0] = ["", "dress unheardof dress"]
    tokens = reading.tokens(rows.where(np.arange(1)))[0]
    dress = reading.words.index("dress") + 2
    assert tokens[:4].tolist() == [dress, 1, dress, 0]


def test_the_stack_leaves_out_a_voice_that_says_nothing_and_calibrates_one_that_does():
    rng = np.random.default_rng(0)
    logit = rng.standard_normal(20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-(2 * logit + 0.5)))
    weights = fit_stack(np.column_stack([logit, rng.standard_normal(20_000)]), labels)
    assert weights[0] == pytest.approx(2, abs=0.1)
    assert 0 <= weights[1] < 0.05
    assert weights[2] == pytest.approx(0.5, abs=0.06)


def test_the_calibration_error_of_true_probabilities_is_within_what_chance_makes():
    rng = np.random.default_rng(0)
    said = rng.random(5_000)
    labels = rng.random(5_000) < said
    limit = chance_limit(said, samples=200, seed=1)
    assert equal_mass_error(labels, said)(np.ones(5_000)) < limit
    assert equal_mass_error(labels, said**2)(np.ones(5_000)) > 2 * limit


def test_a_bend_makes_right_at_every_level_what_one_slope_cannot_and_keeps_the_order():
    rng = np.random.default_rng(0)
    logit = 1.5 * rng.standard_normal(20_000)
    true = 1 / (1 + np.exp(-np.where(logit < 0, 2.5 * logit, 0.7 * logit)))
    labels = rng.random(20_000) < true
    bend = fit_bend(logit, labels)
    assert (bend.slopes > 0).all()
    said = 1 / (1 + np.exp(-np.asarray(bent(logit, bend.knots, bend.slopes, bend.start))))
    plain = 1 / (1 + np.exp(-logit))
    once = np.ones(len(logit))
    assert equal_mass_error(labels, plain)(once) > 0.03
    assert equal_mass_error(labels, said)(once) < chance_limit(said, samples=100, seed=0)


def test_a_bend_of_logits_that_are_right_or_few_stays_straight():
    rng = np.random.default_rng(0)
    logit = rng.standard_normal(30)
    bend = fit_bend(logit, rng.random(30) < 1 / (1 + np.exp(-logit)))
    assert np.abs(np.log(bend.slopes)).max() < 0.6
