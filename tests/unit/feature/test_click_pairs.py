"""Clicks beside what may come next: what is known of them is from before, and right by hand."""

import numpy as np
import pyarrow as pa
import pytest

from services.feature.domain.click_memory import best, remember
from services.feature.domain.click_own import answers_of, asked_of, own_of
from services.feature.domain.click_pairs import CANDIDATES, FEATURES, candidates, click_rows
from services.feature.domain.click_scores import RULES, rule_places, scores_of
from services.feature.domain.click_sessions import Sessions, blocks_of, sessions_of
from services.feature.usecases.build_clicks import build_clicks, explain_clicks
from services.feature.usecases.ports import Unwatched
from shared.dataset.clicks import NONE, joined
from shared.errors import FailedPreconditionError, InvalidArgumentError
from tests.support.visits import QUESTION, Visits, dataset, sessions, table


def of(*paths):
    """Sessions of these items."""
    items = np.array([item for path in paths for item in path], np.int32)
    starts = np.concatenate([[0], np.cumsum([len(path) for path in paths])])
    names = tuple(f"P{item}" for item in range(items.max() + 1))
    return Sessions(items, starts, names, tuple(map(str, range(len(paths)))))


def rows_of(known, block):
    return joined(list(click_rows(known, block)))


def equal(first, second):
    return all(np.array_equal(each, vars(second)[name]) for name, each in vars(first).items())


@pytest.fixture(scope="module")
def visits():
    return sessions()


@pytest.fixture(scope="module")
def block(visits):
    return blocks_of(visits)[0][0]


@pytest.fixture(scope="module")
def rows(visits, block):
    return rows_of(visits, block)


def test_rows_are_the_clicks_from_the_third_on(visits, block, rows):
    lengths = visits.lengths[block.first_session : block.end_session]
    assert len(rows) == block.row_count == np.maximum(lengths - 2, 0).sum()
    assert rows.positions.min() == 2
    assert rows.features.shape == (len(rows), CANDIDATES, len(FEATURES))


def test_the_answer_is_what_was_clicked_on(visits, rows):
    clicked = visits.items[visits.starts[rows.sessions] + rows.positions]
    found = rows.answers != NONE
    assert found.mean() > 0.9
    assert np.array_equal(rows.items[found, rows.answers[found]], clicked[found])
    assert not (rows.items[~found] == clicked[~found, None]).any()


def test_a_click_never_sees_later_clicks_of_its_own_session(visits, block, rows):
    session = int(rows.sessions[rows.positions >= 4][0])
    start, end = visits.starts[session : session + 2]
    changed = visits.items.copy()
    changed[start + 3 : end] = (changed[start + 3 : end] + 17) % len(visits.item_ids)
    others = Sessions(changed, visits.starts, visits.item_ids, visits.session_ids)
    again = rows_of(others, block)
    is_before = (rows.sessions == session) & (rows.positions <= 2)
    assert is_before.sum() == 1
    assert equal(rows.rows(is_before), again.rows(is_before))
    is_other = rows.sessions != session
    assert equal(rows.rows(is_other), again.rows(is_other))
    is_after = (rows.sessions == session) & (rows.positions > 3)
    assert not equal(rows.rows(is_after), again.rows(is_after))


def test_sessions_of_a_block_and_after_it_tell_nothing_of_items(visits, block):
    kept = int(visits.starts[block.first_session])
    rng = np.random.default_rng(1)
    changed = visits.items.copy()
    changed[kept:] = rng.permutation(changed[kept:])
    others = Sessions(changed, visits.starts, visits.item_ids, visits.session_ids)
    one, other = (remember(each, block.first_session) for each in (visits, others))
    for name, value in vars(one).items():
        difference = abs(value - vars(other)[name])
        assert difference.max() == 0, name


def test_what_was_clicked_on_in_the_session_is_told_by_hand():
    known = of([3, 4], [0, 1, 0, 2, 0])
    own = own_of(known, asked_of(known, 1, 2))
    last = own.rows == 2
    told = (own.items, own.ranks, own.ages, own.first_ages, own.counts)
    assert [each[last].tolist() for each in told] == [
        [2, 0, 1],
        [0, 1, 2],
        [0, 1, 2],
        [0, 3, 2],
        [1, 2, 1],
    ]
    assert not own.has_followed[last].any()
    # Before the third click the last was on 1; before the fourth on 0, which 1 had followed.
    assert own.items[(own.rows == 1) & own.has_followed].tolist() == [1]


def test_counts_are_as_by_hand():
    memory = remember(of([0, 1, 2], [0, 1], [0, 2, 2], [2, 0, 1]), 3)
    at_once = memory.at_once.toarray()
    assert at_once[0].tolist() == pytest.approx([0, 2 / 3, 1 / 3])
    assert at_once[2].tolist() == pytest.approx([0, 0, 1])
    after = memory.after.toarray()
    # After 0 came 1 at once twice, and 2 two later, one later and two later.
    assert after[0].tolist() == pytest.approx([0, 2 / 4, 2 / 4])
    assert memory.together.toarray()[0, 1] == pytest.approx(2 / np.sqrt(3 * 2))
    assert memory.clicks.tolist() == [3, 2, 2]
    assert memory.returns[2] == pytest.approx(1 / 7)


def test_rules_put_items_of_the_session_first_and_then_what_follows_the_last():
    known = of([0, 1, 2], [1, 2, 3], [0, 1, 4], [0, 1, 0], [0, 1, 2], [0, 1, 5])
    asked = asked_of(known, 3, 6)
    own, memory = own_of(known, asked), remember(known, 3)
    places = rule_places(own, scores_of(own, memory), answers_of(known, asked))
    # 1 then 0 were clicked on last; 2 follows 1 twice and 4 once; 5 was never seen.
    assert places[:, RULES.index("own_then_markov")].tolist() == [2, 3, 0]


def test_candidates_are_the_highest_with_the_highest_first():
    total = best(remember(of([0, 1, 2, 3], [0, 2]), 2).after, 3)
    found = candidates(total, 2)
    assert found[0].tolist() == [2, 1]
    assert found[3].tolist() == [NONE, NONE]


def test_the_file_may_name_its_rows_in_any_order_within_a_session():
    rows = table(30)
    turned = rows.take(pa.array(np.arange(rows.num_rows)[::-1]))
    first, second = sessions_of(rows, QUESTION), sessions_of(turned, QUESTION)
    assert first.session_ids == second.session_ids[::-1]
    names = [
        [each.item_ids[item] for item in each.items[: each.starts[1]]] for each in (first, second)
    ]
    last = [second.item_ids[item] for item in second.items[second.starts[-2] :]]
    assert names[0] == last


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"step": None}, "step: no such column; there are visit, product"),
        ({"step": [0, 1, 1]}, "row 3, step: stands twice in its session"),
        ({"product": ["a", None, "b"]}, "row 2, product: is empty"),
        ({"step": ["a", "b", "c"]}, "step: holds string; a position is a number or a time"),
    ],
)
def test_a_fault_in_the_file_is_named_with_column_and_row(change, said):
    columns = {"visit": [1, 1, 1], "step": [0, 1, 2], "product": ["a", "b", "a"], **change}
    rows = pa.table({name: each for name, each in columns.items() if each is not None})
    with pytest.raises(InvalidArgumentError, match=said):
        sessions_of(rows, QUESTION)


def test_too_few_sessions_are_refused_with_each_rule(tmp_path):
    source = Visits(table(150))
    with pytest.raises(FailedPreconditionError, match="sessions is 150, at least 200") as caught:
        build_clicks("datasets/few", QUESTION, source, tmp_path / "few", Unwatched())
    assert caught.value.reason == "TOO_LITTLE_DATA"
    assert not (tmp_path / "few").exists()


def test_explaining_says_what_the_dataset_then_holds(tmp_path):
    rows = table()
    judged = table(50, seed=1)
    both = pa.concat_tables([rows, judged])
    both = both.append_column("colour", pa.array(["red"] * both.num_rows))
    found = explain_clicks(QUESTION, Visits(both, judged.num_rows))
    manifest = dataset(tmp_path / "visits", both, judged.num_rows).manifest
    counts = [block.row_count for block in manifest.blocks]
    assert found.folds == {
        "evaluation": (counts[0] + counts[1], counts[2]),
        "test files": (counts[1] + counts[2], manifest.test.row_count),
    }
    assert found.row_count == manifest.row_count
    assert found.excluded == {"colour": "source does not name it"}
    assert all(rule.is_met for rule in found.rules)
    # Sessions of test files are others, however they are called.
    assert manifest.session_count == 650
    assert len(manifest.test_sessions) == 50
