"""The shipped file about sessions over the real data: what is asked about and what is judged."""

from pathlib import Path

import pytest

from services.feature.adapters.table_file import TableFile
from services.feature.domain.click_sessions import sessions_of
from services.feature.usecases.build_clicks import explain_clicks
from shared.config.clicks import located_clicks, parse_click_prediction
from shared.config.prediction import shipped_text

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there"),
]


@pytest.fixture(scope="module")
def question():
    return parse_click_prediction(located_clicks(shipped_text("next_click"), DATA))


def test_every_click_of_the_file_is_read(question):
    sessions = sessions_of(TableFile(Path(question.path)).read()[0], question)
    assert len(sessions) == 126_168
    assert len(sessions.items) == 685_984
    assert len(sessions.item_ids) == 36_968
    assert sessions.lengths.min() >= 3


def test_clicks_from_the_third_on_of_the_last_tenth_are_judged(question):
    source = TableFile(Path(question.path))
    found = explain_clicks(question, source)
    lengths = sessions_of(source.read()[0], question).lengths
    last = lengths[len(lengths) * 9 // 10 :]
    assert found.folds["evaluation"][1] == (last - 2).sum()
    assert found.excluded == {}
    assert all(rule.is_met for rule in found.rules)
