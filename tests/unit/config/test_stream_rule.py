from datetime import timedelta

import pytest

from shared.config.prediction import parse_prediction
from shared.config.stream import StreamRule
from shared.errors import InvalidArgumentError

FILE = "name: a\ntarget: {kind: %s}\nhorizon: 90d\nstream: %s\n"


def test_a_stream_rule_names_events_a_gap_a_threshold_and_a_consent():
    block = "{events: [Order Completed], at_most_every: 1h per user, crosses: 0.5, consent: ads}"
    assert parse_prediction(FILE % ("churn", block)).stream == StreamRule(
        ("Order Completed",), timedelta(hours=1), 0.5, "ads"
    )


def test_without_the_block_nothing_is_said_over_a_stream():
    assert parse_prediction("name: a\ntarget: {kind: churn}\nhorizon: 90d\n").stream is None


@pytest.mark.parametrize(
    ("kind", "block", "field"),
    [
        ("churn", "{}", "stream.events"),
        ("churn", "{events: []}", "stream.events"),
        ("churn", "{events: [Seen, Seen]}", "stream.events"),
        ("churn", "{event: [Seen]}", "stream.event"),
        ("churn", "{events: [Seen], at_most_every: 1h}", "stream.at_most_every"),
        ("churn", "{events: [Seen], crosses: 2}", "stream.crosses"),
        ("churn", "{events: [Seen], consent: 1}", "stream.consent"),
        ("next_order", "{events: [Seen]}", "stream"),
    ],
)
def test_a_wrong_rule_is_refused_by_field(kind, block, field):
    with pytest.raises(InvalidArgumentError) as caught:
        parse_prediction(FILE % (kind, block))
    assert caught.value.metadata["field"] == field
