"""Search for settings: what is tried, stopped, kept, chosen and told."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from services.training.adapters.searches import search_of
from services.training.runs.config import RunConfig
from services.training.runs.image_config import ImageRunConfig
from services.training.runs.result import RunResult
from services.training.runs.table_config import TableRunConfig
from services.training.search.kept import KeptTrials
from services.training.search.parts import parts_of_table, parts_of_users
from services.training.search.record import Record, leaderboard, progress_words
from services.training.search.space import Plan, params_of, with_params
from services.training.search.study import Trial, best, finalists, ranked
from shared.config.prediction import shipped_text
from shared.config.search import OF_USERS, Dimension, parse_search
from shared.errors import FailedPreconditionError, InvalidArgumentError
from tests.support import rows_of_tables
from tests.support.killed_search import PLAN, USUAL, score, search


class Counted:
    """Scores by the formula, counts fits, and stops the process at one of them."""

    def __init__(self, last=None):
        self.fits, self._last = 0, last

    def __call__(self, params, seed):
        for each in score(params, seed):
            if self.fits == self._last:
                raise KeyboardInterrupt
            self.fits += 1
            yield each


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    counted = Counted()
    trials = search(tmp_path_factory.mktemp("search") / "trials.json", score=counted).run()
    return trials, counted.fits


def test_it_finds_better_settings_than_those_of_the_file(found):
    trials, _ = found
    assert [trial.number for trial in trials] == list(range(17))
    assert trials[0].params == {}
    assert best(trials).mean < trials[0].mean - 0.5
    assert all(set(trial.params) == set(PLAN.space) for trial in trials[1:])


def test_bad_trials_are_stopped_after_few_parts_and_the_best_is_not(found):
    trials, fits = found
    stopped = [trial for trial in trials if trial.is_stopped]
    assert stopped
    assert all(len(trial.scores) < 3 for trial in stopped)
    assert fits < 3 * 17 + 3 * 4
    assert best(trials).is_whole
    assert best(trials).scores[0] < min(trial.scores[0] for trial in stopped)


def test_the_best_and_the_file_are_fitted_with_every_seed_before_one_is_chosen(found):
    trials, _ = found
    assert finalists(trials)[0] == 0
    assert len(finalists(trials)) == 4
    for trial in trials:
        assert len(trial.seed_scores) == (trial.number in finalists(trials))


def test_the_seed_decides_what_is_tried(found, tmp_path):
    trials, _ = found
    assert search(tmp_path / "again.json").run() == trials
    others = search(tmp_path / "other.json", seed=8).run()
    assert [each.params for each in others[1:]] != [each.params for each in trials[1:]]


@pytest.mark.parametrize("last", [0, 2, 20, 40])
def test_a_search_cut_off_at_any_fit_goes_on_and_ends_as_a_whole_one(last, found, tmp_path):
    trials, fits = found
    file = tmp_path / "trials.json"
    with pytest.raises(KeyboardInterrupt):
        search(file, score=Counted(last)).run()
    rest = Counted()
    assert search(file, score=rest).run() == trials
    assert rest.fits <= fits - last + 2, "at most the trial that was cut off is done again"


def test_a_search_whose_process_is_killed_goes_on_and_ends_as_a_whole_one(found, tmp_path):
    trials, _ = found
    file = tmp_path / "trials.json"
    command = [sys.executable, "-m", "tests.support.killed_search", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        for _ in range(12):
            assert process.stdout.readline() == b"fit\n"
        process.kill()
    kept = KeptTrials(file, "one").read()
    assert 3 <= len(kept) < 17
    assert search(file).run() == trials


def test_trials_of_another_search_count_for_nothing(found, tmp_path):
    trials, _ = found
    KeptTrials(tmp_path / "trials.json", "one").write(trials)
    assert KeptTrials(tmp_path / "trials.json", "one").read() == trials
    assert KeptTrials(tmp_path / "trials.json", "other").read() == []


def test_a_grid_tries_every_point_once(tmp_path):
    space = {"model.width": Dimension((8, 16)), "learning_rate": Dimension((0.002, 0.05))}
    plan = replace(PLAN, strategy="grid", space=space, trials=9)
    tried = [t.params for t in search(tmp_path / "grid.json", plan, score=grid_score).run()[1:]]
    assert tried == [
        {"model.width": 8, "learning_rate": 0.002},
        {"model.width": 8, "learning_rate": 0.05},
        {"model.width": 16, "learning_rate": 0.002},
        {"model.width": 16, "learning_rate": 0.05},
    ]


def grid_score(params, seed):
    yield from score({**USUAL, **params}, seed)


def test_random_settings_follow_no_score(tmp_path):
    plan = replace(PLAN, strategy="random", seeds=1)
    one = search(tmp_path / "one.json", plan).run()
    other = search(tmp_path / "other.json", plan, score=lambda params, seed: iter([0.0] * 3)).run()
    assert [each.params for each in one] == [each.params for each in other]


def test_settings_that_come_again_are_not_fitted_again(tmp_path):
    plan = replace(PLAN, strategy="random", trials=9, space={"model.width": Dimension((8, 16))})
    counted = Counted()

    def scored(params, seed):
        yield from counted({**USUAL, **params}, seed)

    trials = search(tmp_path / "few.json", plan, score=scored).run()
    assert len(trials) == 10
    assert len(finalists(trials)) == 3
    assert counted.fits == 3 * (3 + 3)  # the file and both widths, with two seeds each


def test_settings_that_cannot_be_fitted_are_told_and_end_no_search(tmp_path):
    def failing(params, seed):
        if params and params["model.width"] == 16:
            raise FailedPreconditionError("too wide", reason="X")
        yield float("nan") if params and params["model.width"] == 8 else 0.5

    trials = search(tmp_path / "trials.json", score=failing).run()
    told = {trial.failure for trial in trials}
    assert {"too wide", "no finite score", ""} == told
    assert not best(trials).failure
    assert ranked(trials)[-1].failure


def test_settings_of_the_file_that_cannot_be_fitted_end_the_search_with_the_reason(tmp_path):
    def failing(params, seed):
        raise FailedPreconditionError("too little data", reason="TOO_LITTLE_DATA")
        yield

    with pytest.raises(FailedPreconditionError, match="too little data"):
        search(tmp_path / "trials.json", score=failing).run()


def test_a_draw_is_won_by_the_settings_of_the_file_and_seeds_decide_among_finalists():
    other = Trial(1, {"a": 1}, (0.5,), seed_scores=(0.5,))
    same = [replace(other, number=0, params={}), other]
    assert best(same).number == 0
    lucky = [same[0], replace(same[1], scores=(0.4,), seed_scores=(0.7,))]
    assert best(lucky).number == 0
    assert [trial.number for trial in ranked(lucky)] == [0, 1]


def test_the_version_tells_the_search_and_keeps_its_leaderboard(found):
    trials, _ = found
    record = Record(PLAN, tuple(trials), "the 2 latest windows before it")
    result = RunResult({"model_card.md": b"# m\n\nHow.\n\n## Mind\n\n- this\n"}, {"kind": "users"})
    told = record.told(result)
    card = told.files["model_card.md"].decode()
    assert card.index("How.") < card.index("## Settings chosen by search") < card.index("## Mind")
    assert "the 2 latest windows before it" in card
    assert f"chosen: trial {best(trials).number}: learning_rate" in card
    values = told.manifest["search"]
    assert values["params"] == best(trials).params
    assert values["stopped_early"] == sum(trial.is_stopped for trial in trials)
    assert values["score"] < values["score_of_file"]
    json.dumps(values, allow_nan=False)
    rows = list(csv.DictReader(io.StringIO(told.files["leaderboard.csv"].decode())))
    assert len(rows) == 17
    assert rows[0]["trial"] == str(best(trials).number)
    assert rows[-1]["state"] == "stopped early"
    assert f"16 of 16 trials, {values['stopped_early']} stopped early" in progress_words(
        PLAN, trials
    )


def test_a_metric_of_which_more_is_better_is_told_as_it_is():
    plan = replace(PLAN, metric="normalised_gini")
    trials = [Trial(0, {}, (-0.6,)), Trial(1, {"learning_rate": 0.1}, (-0.7,))]
    first = leaderboard(plan, trials).decode().splitlines()[1]
    assert first.startswith("1,1,0.700000,1,1,whole,0.1")


def users(user_count=400, instants=6, every=30):
    """Eligible rows at instants so many days apart; half of them order."""
    from services.training.runs.rows import DAY, Rows

    keys = np.tile(np.arange(user_count, dtype=np.uint64) * np.uint64(7919), instants)
    as_ofs = np.repeat(np.arange(instants) * every * DAY, user_count)
    spend = np.random.default_rng(0).integers(0, 2, len(keys)).astype(float)
    ones = np.ones(len(keys), bool)
    return Rows(keys, as_ofs, ones, np.zeros((len(keys), 1), np.float32), spend)


def test_windows_that_judge_settings_begin_after_every_label_that_was_fitted_to_ended():
    rows = users()
    cut = parts_of_users(rows, horizon_days=60)
    day = 86_400_000
    assert "windows" in cut.words
    assert len(cut.parts) == 2
    for part, as_of in zip(cut.parts, (120, 150), strict=True):
        assert set(rows.as_ofs[part.test] // day) == {as_of}
        assert rows.as_ofs[part.train].max() // day == as_of - 60


@pytest.mark.parametrize("members", [3, 5])
def test_without_such_windows_customers_are_parted(members):
    rows = users(instants=3)
    cut = parts_of_users(rows, horizon_days=90)
    assert "customers" in cut.words
    from services.training.runs.rows import groups

    for part in cut.parts:
        assert not set(rows.user_keys[part.train]) & set(rows.user_keys[part.test])
        # Each member of an ensemble still has users to be kept from.
        assert len(set(groups(rows.user_keys[part.train], members))) == members


def test_rows_of_a_table_that_stay_together_are_in_one_part():
    rows = rows_of_tables.cells(300)
    rows = replace(rows, groups=np.repeat(rows.groups[:100], 3))
    for part in parts_of_table(rows).parts:
        assert part.test.sum() > 60
        assert not set(rows.groups[part.train]) & set(rows.groups[part.test])


def test_settings_of_the_fit_and_of_the_model_come_into_the_config():
    config = with_params(RunConfig(), {"learning_rate": 0.01, "model.width": 16})
    assert config.learning_rate == 0.01
    assert dict(config.model) == {"type": "mlp", "width": 16}
    assert params_of(RunConfig(), PLAN.space) == {
        "learning_rate": 0.002,
        "model.dropout": 0.3,
        "model.width": 32,
    }
    assert params_of(RunConfig(), {"learning_rate": Dimension((0.1,))}) is None


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        (RunConfig(), {"half_life_days", "model.width"}),
        (TableRunConfig(), {"model.dropout", "weight_decay"}),
    ],
)
def test_an_untouched_file_has_a_usual_space_that_holds_its_settings(config, keys):
    plan = Plan.of(parse_search({}, OF_USERS), "log_loss", config)
    assert keys < set(plan.space)
    assert params_of(config, plan.space) is not None
    assert Plan.read(json.loads(json.dumps(plan.values()))) == plan


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"model.heads": [1]}, "no key 'heads'"),
        ({"model.width": ["wide"]}, "width must be"),
        ({"epochs": [0]}, "epochs: 0 must be a whole number from 1 on"),
        ({"epochs": {"low": 1.5, "high": 9.0}}, "1.5 must be a whole number"),
        ({"learning_rate": ["fast"]}, "'fast' must be a number from 0 on"),
    ],
)
def test_values_that_are_not_for_the_model_are_refused_before_any_trial(space, said):
    with pytest.raises(InvalidArgumentError, match=said):
        Plan.of(parse_search({"space": space}, OF_USERS), "log_loss", RunConfig())


def test_each_target_is_searched_by_the_metric_that_tells_it_best():
    for name, metric in (
        ("churn_90d", "log_loss"),
        ("value_90d", "normalised_gini"),
        ("segment_90d", "segment_log_loss"),
        ("bank", "log_loss"),
    ):
        config = TableRunConfig() if name == "bank" else RunConfig()
        assert search_of([shipped_text(name)], config)["metric"] == metric


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("next_order", RunConfig(awaited="order")),
        ("mnist", ImageRunConfig()),
        ("reviews", TableRunConfig(is_text=True)),
    ],
)
def test_a_question_that_is_not_searched_for_is_refused(name, config):
    with pytest.raises(InvalidArgumentError, match="without --thorough") as caught:
        search_of([shipped_text(name)], config)
    assert caught.value.reason == "SEARCH_NOT_FOR_QUESTION"
