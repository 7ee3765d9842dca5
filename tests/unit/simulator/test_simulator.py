"""The simulator tells the same story every time, and the truth behind it can be recovered."""

import hashlib
import subprocess
import sys
from collections import Counter, defaultdict

import numpy as np
import orjson
import pyarrow.compute as pc
import pytest
from scipy.stats import spearmanr

from pipelines.simulator import simulate
from shared.errors import InvalidArgumentError

HASH = (
    "import hashlib; from pipelines.simulator import simulate;"
    "print(hashlib.sha256(b''.join(simulate(users=60, days=200).lines)).hexdigest())"
)


@pytest.fixture(scope="module")
def simulation():
    return simulate(users=600, days=540)


@pytest.fixture(scope="module")
def events(simulation):
    return [orjson.loads(line) for line in simulation.lines]


def orders_of(events):
    return [event for event in events if event.get("event") == "Order Completed"]


def test_equal_arguments_give_equal_bytes_in_another_process():
    here = hashlib.sha256(b"".join(simulate(users=60, days=200).lines)).hexdigest()
    there = subprocess.run([sys.executable, "-c", HASH], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_another_seed_tells_another_story():
    assert simulate(users=60, days=200).lines != simulate(seed=8, users=60, days=200).lines


def test_a_file_written_holds_one_event_a_line(tmp_path):
    simulation = simulate(users=20, days=100)
    path = simulation.write(tmp_path / "events.jsonl")
    assert path.read_bytes().splitlines() == simulation.lines


def test_message_ids_differ_and_time_never_runs_backwards(events):
    assert len({event["messageId"] for event in events}) == len(events)
    times = [event["timestamp"] for event in events]
    assert times == sorted(times)


def test_the_end_is_fixed_so_that_no_clock_is_read(events):
    assert events[0]["timestamp"] >= "2024-01-08T00:00:00"
    assert "2025-06-25" < events[-1]["timestamp"] < "2025-07-01T00:00:00"


def test_events_are_of_every_kind_a_shop_sends(events):
    kinds = Counter(event.get("event", event["type"]) for event in events)
    assert kinds.keys() == {"Product Viewed", "Order Completed", "Order Refunded", "identify"}
    assert all(count > 100 for count in kinds.values())


def test_an_order_is_worth_what_its_products_cost(events):
    for event in orders_of(events):
        properties = event["properties"]
        lines = properties["products"]
        cents = sum(round(line["price"] * 100) * line["quantity"] for line in lines)
        assert cents == round(properties["revenue"] * 100)
        assert cents > 0


def test_a_refund_never_exceeds_its_order_nor_precedes_it(events):
    orders = {event["properties"]["order_id"]: event for event in orders_of(events)}
    refunds = [event for event in events if event.get("event") == "Order Refunded"]
    for refund in refunds:
        order = orders[refund["properties"]["order_id"]]
        assert refund["timestamp"] > order["timestamp"]
        assert 0 < refund["properties"]["total"] <= order["properties"]["revenue"]
        assert refund["userId"] == order["userId"]


def test_identify_ties_each_device_to_one_customer(events):
    owners = defaultdict(set)
    for event in events:
        if "userId" in event:
            owners[event["anonymousId"]].add(event["userId"])
    assert all(len(users) == 1 for users in owners.values())
    assert any("userId" not in event and event["anonymousId"] in owners for event in events)
    assert any(event["anonymousId"].startswith("visitor-") for event in events)


def test_christmas_sells_more_than_the_months_around_it(events):
    months = Counter(event["timestamp"][:7] for event in orders_of(events))
    assert months["2024-12"] > 1.4 * months["2024-10"]
    assert months["2024-12"] > 1.4 * months["2025-02"]


def test_nobody_orders_after_leaving(simulation, events):
    churned = dict(
        zip(
            simulation.truth["user_id"].to_pylist(),
            pc.strftime(simulation.truth["churn_time"], "%Y-%m-%dT%H:%M:%S").to_pylist(),
            strict=True,
        )
    )
    assert all(event["timestamp"][:19] <= churned[event["userId"]] for event in orders_of(events))


def test_some_customers_register_and_never_order(simulation, events):
    buyers = {event["userId"] for event in orders_of(events)}
    known = {event["userId"] for event in events if "userId" in event}
    never = simulation.truth.filter(pc.equal(simulation.truth["true_rate"], 0.0))["user_id"]
    assert set(never.to_pylist()).isdisjoint(buyers)
    assert set(never.to_pylist()) <= known


def test_true_rate_and_spend_can_be_recovered_from_the_events(simulation, events):
    orders, spend = Counter(), Counter()
    for event in orders_of(events):
        orders[event["userId"]] += 1
        spend[event["userId"]] += event["properties"]["revenue"]
    rows = [row for row in simulation.truth.to_pylist() if orders[row["user_id"]] >= 5]
    mean = [spend[row["user_id"]] / orders[row["user_id"]] for row in rows]
    assert spearmanr(mean, [row["true_spend_mean"] for row in rows]).statistic > 0.85
    all_rows = simulation.truth.to_pylist()
    counts = [orders[row["user_id"]] for row in all_rows]
    assert spearmanr(counts, [row["true_rate"] for row in all_rows]).statistic > 0.5


def test_what_follows_is_known_and_agrees_with_who_left(simulation):
    truth = simulation.truth
    has_left = truth["churn_time"].to_numpy() < np.datetime64(
        simulation.end_time.replace(tzinfo=None), "ms"
    )
    orders, spend = truth["orders_next_90d"].to_numpy(), truth["spend_next_90d"].to_numpy()
    assert not orders[has_left].any()
    assert 0.15 < (orders > 0).mean() < 0.5
    assert ((spend > 0) == (orders > 0)).all()


def test_too_small_a_shop_is_refused():
    with pytest.raises(InvalidArgumentError, match="at least 1 user and 2 days"):
        simulate(users=0)
