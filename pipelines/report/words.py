"""The sentences of a report, each true of its figures and of nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pipelines.report import numbers
from pipelines.report.audiences import Audience
from pipelines.report.charts import gain_rows
from pipelines.report.findings import Backtest, Findings, SalesBar
from pipelines.report.inputs import ReportInputs
from pipelines.report.quality import Quality

# Beyond this share of the truth, a total that was missed is worth a warning.
MISS = 0.15

GLOSSARY = (
    ("Probability to order", "Chance of at least one order in the days predicted, 0 to 100%."),
    ("Percentile", "Where a customer stands among all: 90 means more likely than 90% of them."),
    ("Very high to very low", "Bands of the percentile: from 90, 70, 30, 10, and below."),
    ("Expected spend", "The average over what may happen: gross sales, refunds not taken off."),
    ("Gross sales", "What customers paid for, before refunds; cancelled orders do not count."),
    ("Net sales", "Gross sales less refunds and cancelled orders."),
    ("Spend last year", "Spend in the 365 days before, refunds taken off where they are known."),
    ("Value segment", "Nothing, or the low, middle or high third of spenders in such a window."),
    ("Discovered segment", "Customers whom the model places close together, by what they do."),
    ("Lift", "How many times the average a group orders."),
    ("Gain", "Share of all buyers found by contacting the most likely customers first."),
    ("Calibration", "Of those given 30%, do 30 in 100 order? On the diagonal, yes."),
    ("AUC", "How often a buyer is ranked above a non-buyer: 0.5 is guessing, 1 is perfect."),
    ("Churn", "No order within the days predicted; one less the probability to order."),
    ("Standard error (±)", "How far a figure would move if other such customers were measured."),
)


@dataclass(frozen=True)
class Words:
    """What the report says in sentences, by section."""

    lead: str
    comparison: str
    sales_note: str
    forecast: tuple[str, ...]
    warnings: tuple[str, ...]
    contacts: str
    segments: str
    quality: tuple[str, ...]
    data: str
    method: tuple[str, ...]


def words_of(
    inputs: ReportInputs, findings: Findings, quality: Quality, audiences: Sequence[Audience]
) -> Words:
    """Words every figure that needs a sentence."""
    return Words(
        lead=_lead(inputs, findings),
        comparison=_comparison(inputs, findings),
        sales_note=_sales_note(findings),
        forecast=_forecast(inputs, findings),
        warnings=(*_misses(findings), *_warnings(inputs)),
        contacts=_contacts(inputs, audiences),
        segments=_segments(inputs, findings),
        quality=_quality(inputs, quality),
        data=_data(inputs),
        method=_method(inputs),
    )


def history_days(inputs: ReportInputs) -> int:
    """Returns how many days lie between the first event and the prediction."""
    first = inputs.totals.first_event_time
    return 0 if first is None else (inputs.as_of_time - first) // timedelta(days=1)


def _lead(inputs: ReportInputs, findings: Findings) -> str:
    head = findings.headline
    return (
        f"In the next {inputs.horizon_days} days, {numbers.count(head.expected_active)} of "
        f"{numbers.count(head.customer_count)} customers are expected to order, spending "
        f"{numbers.money(head.expected_micros, inputs.currency)}."
    )


def _comparison(inputs: ReportInputs, findings: Findings) -> str:
    head, test = findings.headline, findings.backtest
    if test is None or not test.is_last_window or not test.customer_count:
        return (
            "These are customers who have ordered before. Orders of customers still to come, and "
            "orders without a customer, come on top."
        )
    before, after = test.actual_active / test.customer_count, _share(findings)
    per_head = test.actual_micros / test.customer_count
    expected_per_head = head.expected_micros / head.customer_count if head.customer_count else 0
    return (
        f"That is {numbers.percent(after)} of customers who have ordered before; in the last "
        f"{inputs.horizon_days} days it was {numbers.percent(before)}. Spend for each of them: "
        f"{numbers.money(expected_per_head, inputs.currency)} expected, "
        f"{numbers.money(per_head, inputs.currency)} before."
    )


def _sales_note(findings: Findings) -> str:
    test, head = findings.backtest, findings.headline
    if test is None or not test.is_last_window or not test.actual_micros:
        return "from customers known today"
    # Where the numbers of customers differ little, the plain comparison is the clearest.
    told = numbers.change(head.expected_micros, test.actual_micros)
    if told == "about the same":
        return "about the same as known customers spent in the last window"
    return f"{told} than known customers spent in the last window"


def _forecast(inputs: ReportInputs, findings: Findings) -> tuple[str, ...]:
    head = findings.headline
    sentences = [
        f"The {numbers.count(head.customer_count)} customers who have ordered before are expected "
        f"to spend {numbers.money(head.expected_micros, inputs.currency)} between "
        f"{numbers.date(inputs.as_of_time, inputs.time_zone)} and "
        f"{numbers.day_before(findings.end_time, inputs.time_zone)}. Chance alone moves the number "
        f"who order by about {numbers.count(2 * head.active_spread)} either way."
    ]
    if findings.backtest is not None:
        sentences.append(_backtest(inputs, findings.backtest))
    last = next((bar for bar in findings.sales if bar.new_micros is not None), None)
    if last is not None and last.total_micros:
        sentences.append(_beyond(inputs, last))
    if head.waiting_count:
        sentences.append(
            f"Another {numbers.count(head.waiting_count)} known customers have not ordered yet. At "
            f"the base rate {numbers.count(head.waiting_active)} of them order, for "
            f"{numbers.money(head.waiting_micros, inputs.currency)} in all; they are not in the "
            "figures above."
        )
    return tuple(sentences)


def _backtest(inputs: ReportInputs, test: Backtest) -> str:
    return (
        f"Asked the same on {numbers.date(test.test_time, inputs.time_zone)}, without knowing what "
        f"came after, the method said {numbers.count(test.predicted_active)} customers and "
        f"{numbers.money(test.predicted_micros, inputs.currency)}; "
        f"{numbers.count(test.actual_active)} customers and "
        f"{numbers.money(test.actual_micros, inputs.currency)} came. So it said "
        f"{_error(test.predicted_active, test.actual_active)} for customers and "
        f"{_error(test.predicted_micros, test.actual_micros)} for spend."
    )


def _error(predicted: float, actual: float) -> str:
    told = numbers.change(predicted, actual)
    if told == "about the same":
        return "almost exactly the right number"
    return told.replace("more", "too much").replace("less", "too little")


def _beyond(inputs: ReportInputs, last: SalesBar) -> str:
    beyond = (last.new_micros or 0) + (last.anonymous_micros or 0)
    return (
        f"In the last {inputs.horizon_days} days, new customers and orders without a customer made "
        f"{numbers.percent(beyond / last.total_micros)} of all sales. Such sales come on top of "
        "the forecast, so do not read it as the total of the shop."
    )


def _misses(findings: Findings) -> tuple[str, ...]:
    test = findings.backtest
    if test is None or not test.actual_micros:
        return ()
    miss = test.predicted_micros / test.actual_micros - 1
    if abs(miss) < MISS:
        return ()
    way = "less" if miss > 0 else "more"
    return (
        f"One window earlier the method was {numbers.percent(abs(miss))} off on total spend, and "
        f"{way} came than it said. Trust the order of customers more than the totals.",
    )


def _warnings(inputs: ReportInputs) -> tuple[str, ...]:
    days = history_days(inputs)
    if inputs.year_ago_window is None:
        return (
            f"The data reach back {numbers.count(days)} days, so the same days last year are not "
            "in them and no season can be learned: if these days are usually busier or calmer "
            "than the last ones, correct the forecast for it.",
        )
    if days < 2 * 365:
        return (
            f"The data reach back {numbers.count(days)} days, so each season was seen once at most "
            "and cannot be told from growth. Read the forecast beside the same days last year.",
        )
    return ()


def _contacts(inputs: ReportInputs, audiences: Sequence[Audience]) -> str:
    total = sum(len(each.members) for each in audiences)
    if not total:
        return "No customer meets any of the rules for an audience."
    return (
        f"{numbers.count(total)} customers are worth a message in the next {inputs.horizon_days} "
        "days, each for one reason. All of them are in contacts.csv beside this report, with what "
        "speaks for an order (▲) and against it (▼)."
    )


def _segments(inputs: ReportInputs, findings: Findings) -> str:
    head, best = findings.headline, findings.segments[-1]
    if not head.customer_count or not head.expected_micros:
        return "No customer has ordered before, so there is nothing to divide into segments."
    return (
        f"{numbers.count(best.expected_count)} customers are expected in the high segment. Those "
        f"counted to it are {numbers.percent(best.counted / head.customer_count, 1)} of "
        f"customers and {numbers.percent(best.expected_micros / head.expected_micros)} of the "
        f"spend expected in {inputs.horizon_days} days."
    )


def _quality(inputs: ReportInputs, quality: Quality) -> tuple[str, ...]:
    if math.isnan(quality.auc.value):
        return ("The training run measured no quality.",)
    sentences = [
        f"{quality.word.capitalize()}: shown one customer who ordered and one who did not, it puts "
        f"the right one first {round(100 * quality.auc.value)} times in 100."
    ]
    if quality.lift:
        sentences[0] += (
            f" The most likely tenth ordered {numbers.score(quality.lift[0]['lift'], 1)} times as "
            "often as the average."
        )
        rows = gain_rows(quality)
        third = next((row for row in rows if row["contacted"] >= 0.295), rows[-1])
        sentences.append(
            f"Contacting {numbers.percent(third['contacted'])} of customers, most likely first, "
            f"reaches {numbers.percent(third['found'])} of those who order."
        )
    if quality.coverage:
        everyone, buyers = quality.coverage
        sentences.append(
            "The intervals of spend, meant to hold nine customers in ten, held "
            f"{numbers.percent(everyone, 1)} of all and {numbers.percent(buyers, 1)} of those who "
            "ordered."
        )
    if quality.calibration:
        total = sum(row["count"] for row in quality.calibration)
        gap = sum(
            row["count"] * abs(row["predicted"] - row["observed"]) for row in quality.calibration
        )
        sentences.append(
            f"Its probabilities were off by {numbers.score(100 * gap / total, 1)} percentage "
            "points on average."
        )
    sentences += [
        f"It is {each.verdict} (AUC {numbers.signed(each.difference)}, 95% range "
        f"{numbers.signed(each.low)} to {numbers.signed(each.high)})."
        for each in quality.comparisons
    ]
    horizon = inputs.horizon_days
    sentences.append(
        f"All of it was measured on a later window of {horizon} days than any the model judged "
        "here had learned from; the model that made the forecast then learned from that window too."
    )
    return tuple(sentences)


def _data(inputs: ReportInputs) -> str:
    totals = inputs.totals
    if totals.first_event_time is None or totals.last_event_time is None:
        return "The workspace holds no event before this instant."
    sentence = (
        f"{numbers.count(totals.event_count)} events from "
        f"{numbers.date(totals.first_event_time, inputs.time_zone)} to "
        f"{numbers.date(totals.last_event_time, inputs.time_zone)}, source: {inputs.source}. "
    )
    if totals.anonymous_order_count:
        share = totals.anonymous_gross_micros / totals.gross_micros if totals.gross_micros else 0
        sentence += (
            f"{numbers.count(totals.anonymous_order_count)} orders "
            f"({numbers.percent(share)} of gross sales) name no customer: they count in "
            "totals and predict for nobody. "
        )
    if totals.rejected_count:
        return sentence + (
            f"{numbers.count(totals.rejected_count)} events were kept back as unusable; none is "
            "lost, and they can be replayed once their cause is mended."
        )
    return sentence + "No event was kept back."


def _method(inputs: ReportInputs) -> tuple[str, ...]:
    training, zone = inputs.training, inputs.time_zone
    return (
        f"One network with three answers (will they order, what will they spend, in which segment) "
        f"learned from {numbers.count(training.row_count)} looks at "
        f"{numbers.count(training.user_count)} customers: "
        f"{numbers.count(training.feature_count)} features of each, taken at "
        f"{len(training.as_of_times)} past instants, beside what came in the "
        f"{inputs.horizon_days} days after.",
        "A feature never knows anything from its instant on, and no window learned from overlaps "
        "the window judged on. Features count orders, spend, recency, windows of days and trends; "
        f"days begin at midnight in {zone}.",
        "Probabilities are calibrated on customers set aside. Reasons are the features that moved "
        "the probability most, compared with an average customer (integrated gradients); "
        "they explain the model, not the cause.",
    )


def _share(findings: Findings) -> float:
    head = findings.headline
    return head.expected_active / head.customer_count if head.customer_count else math.nan
