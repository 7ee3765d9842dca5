"""Builds datasets of candidate products: lines, instants, pairs, files."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from services.feature.domain.persons import Edges, FirstSeen, persons_at, persons_of
from services.feature.domain.plan import instant_at
from services.feature.domain.product_lines import NOBODY, OrderLines
from services.feature.domain.product_pairs import CANDIDATES, FEATURES, Pairs
from services.feature.domain.rules import Rule, require
from services.feature.usecases.build import SCORING
from services.feature.usecases.explanation import Explanation
from services.feature.usecases.ports import Watched
from shared.config.product import ProductPrediction
from shared.dataset.products import ProductManifest, ProductRows, write_products
from shared.errors import FailedPreconditionError
from shared.features.calendar import Instant, day_start

FITTED = 6
"""Training instants that a fit learns from."""

INSTANTS = 9
"""Training instants at most: enough to fit on six of them, and on six that end a horizon before."""

ROWS_AN_INSTANT = 800
"""Users drawn at each training instant but the last, at which the model is judged on all."""

ROWS_JUDGED = 5_000
LEAST_BUYERS = 30
_MS_A_DAY = 86_400_000.0
_NEVER_MS = 2.0**53


class Persons(Protocol):
    """Who is who as known at an instant."""

    def edges(self, end: datetime, known_at: datetime) -> tuple[Edges, FirstSeen]:
        """Return which keys are one person, and when user keys among them were first seen."""


class ProductLines(Protocol):
    """The products of orders as known at an instant."""

    def lines(self, end: datetime, known_at: datetime) -> tuple[OrderLines, npt.NDArray[np.bool_]]:
        """Return lines before an instant, and whether their keys are of identified users."""

    def users(self, end: datetime, known_at: datetime) -> npt.NDArray[np.uint64]:
        """Return all users of whom anything is known before an instant, ascending."""


@dataclass(frozen=True)
class ProductOrder:
    """A dataset of candidate products to build.

    Attributes:
        name: datasets/{dataset}
        purpose: "training" or "scoring".
        question: What is asked.
        as_of: The instant scored, or the end of the last label window.
        known_at: What became known later is left out.
    """

    name: str
    purpose: str
    question: ProductPrediction
    as_of: datetime
    known_at: datetime


@dataclass(frozen=True)
class _Plan:
    """What is decided before any candidate is looked for.

    Attributes:
        instants: Ascending; the last is judged at.
        rows: Users at each of them.
        judged: Instants whose label windows end by the last, and which therefore may teach what is
            judged at it.
        rules: How the data stands against the least needed.
    """

    instants: tuple[Instant, ...]
    rows: tuple[int, ...]
    judged: int
    rules: tuple[Rule, ...]


class ProductDatasetBuilder:
    """Builds datasets of candidate products.

    Args:
        history: Who is who.
        products: What was ordered.
        time_zone: IANA name of the workspace's zone.
    """

    def __init__(self, history: Persons, products: ProductLines, time_zone: str) -> None:
        self._history, self._products = history, products
        self._zone = ZoneInfo(time_zone)

    def explain(self, order: ProductOrder) -> Explanation:
        """Return what a training dataset would hold; builds nothing.

        Raises:
            FailedPreconditionError: No order names its products.
        """
        plan = self._plan(order, *self._known(order))
        fitted = plan.rows[max(plan.judged - FITTED, 0) : plan.judged]
        return Explanation(
            row_count=sum(plan.rows),
            folds={
                "evaluation": (sum(fitted), plan.rows[-1] if plan.judged else 0),
                "final": (sum(plan.rows[-FITTED:]), 0),
            },
            features=FEATURES,
            excluded={},
            rules=plan.rules,
        )

    def build(self, order: ProductOrder, folder: Path, job: Watched) -> ProductManifest:
        """Build a dataset in a folder, whole or not at all.

        Raises:
            FailedPreconditionError: No order names its products, or there is too little history.
        """
        job.progress(0, 1, "instants", "reading the products of orders")
        lines, is_user = self._known(order)
        edges, seen = self._history.edges(order.as_of, order.known_at)
        instants: tuple[Instant, ...] = (instant_at(order.as_of, self._zone),)
        if order.purpose != SCORING:
            plan = self._plan(order, lines, is_user)
            require(plan.rules)
            instants = plan.instants

        def blocks() -> Iterator[ProductRows]:
            for number, instant in enumerate(instants):
                job.raise_if_cancelled()
                job.progress(number, len(instants), "instants", "looking for candidates")
                resolved = _resolved(lines, is_user, edges, seen, instant)
                pairs = Pairs(resolved, _day(instant), order.question.horizon.days)
                is_last = number == len(instants) - 1
                if order.purpose == SCORING:
                    users = self._users(order, edges, seen, instant)
                else:
                    users = _drawn(pairs.buyers(), number, ROWS_JUDGED if is_last else None)
                yield from pairs.rows(users, instant.time_ms)

        manifest = write_products(
            folder,
            blocks(),
            name=order.name,
            purpose=order.purpose,
            predictions=(order.question.name,),
            features=FEATURES,
            products=lines.product_ids,
            first_sold_ms=_first_sold(lines),
            candidate_count=CANDIDATES,
            as_ofs=tuple(instant.time for instant in instants),
            known_at=order.known_at,
            horizon_days=order.question.horizon.days,
            time_zone=self._zone.key,
        )
        job.progress(len(instants), len(instants), "instants", f"{manifest.row_count:,} rows")
        return manifest

    def _known(self, order: ProductOrder) -> tuple[OrderLines, npt.NDArray[np.bool_]]:
        lines, is_user = self._products.lines(order.as_of, order.known_at)
        if not len(lines):
            raise FailedPreconditionError(
                "no order in these events names its products, so no product can be predicted",
                reason="NO_PRODUCTS",
            )
        return lines, is_user

    def _plan(
        self, order: ProductOrder, lines: OrderLines, is_user: npt.NDArray[np.bool_]
    ) -> "_Plan":
        """The latest instants whose label windows are over, ascending, that have enough buyers."""
        horizon, every = order.question.horizon.days, order.question.every.days
        end = instant_at(order.as_of, self._zone).day - horizon
        known = [
            Instant(day, day_start(day, self._zone))
            for day in range(end, int(lines.days[0]) + 1, -every)[:INSTANTS]
            if day_start(day + horizon, self._zone) <= order.known_at
        ]
        of_users = _of_users(lines, is_user)
        buyers = {each: _buyer_count(of_users, each, horizon) for each in reversed(known)}
        enough = tuple(each for each, count in buyers.items() if count >= LEAST_BUYERS)
        judged = [each for each in enough if each.day + horizon <= enough[-1].day]
        found = (
            Rule("buyers", max(buyers.values(), default=0), LEAST_BUYERS),
            Rule("instants_before_the_judged", len(judged), 1),
        )
        rows = tuple(
            min(buyers[each], ROWS_JUDGED if each == enough[-1] else ROWS_AN_INSTANT)
            for each in enough
        )
        return _Plan(enough, rows, len(judged), found)

    def _users(
        self, order: ProductOrder, edges: Edges, seen: FirstSeen, instant: Instant
    ) -> npt.NDArray[np.uint64]:
        keys = self._products.users(order.as_of, order.known_at)
        return np.unique(persons_of(keys, *persons_at(edges, seen, instant.time_ms)))


def _first_sold(lines: OrderLines) -> tuple[int, ...]:
    first = np.full(len(lines.product_ids), _NEVER_MS)
    np.minimum.at(first, lines.products, lines.days * _MS_A_DAY)
    return tuple(np.rint(first).astype(np.int64).tolist())


def _of_users(lines: OrderLines, is_user: npt.NDArray[np.bool_]) -> OrderLines:
    return replace(lines, keys=np.where(is_user, lines.keys, NOBODY))


def _day(instant: Instant) -> float:
    return instant.time_ms / _MS_A_DAY


def _drawn(users: npt.NDArray[np.uint64], number: int, most: int | None) -> npt.NDArray[np.uint64]:
    """Some of the users, in their order."""
    count = min(len(users), most or ROWS_AN_INSTANT)
    drawn: npt.NDArray[np.uint64] = np.random.default_rng(number).permutation(users)[:count]
    return np.sort(drawn)


def _buyer_count(lines: OrderLines, instant: Instant, horizon_days: int) -> int:
    day = _day(instant)
    is_known = lines.keys != NOBODY
    before = lines.keys[is_known & (lines.days < day)]
    after = lines.keys[is_known & (lines.days >= day) & (lines.days < day + horizon_days)]
    return len(np.intersect1d(before, after))


def _resolved(
    lines: OrderLines,
    is_user: npt.NDArray[np.bool_],
    edges: Edges,
    seen: FirstSeen,
    instant: Instant,
) -> OrderLines:
    """The lines by person, as known at an instant; what no user is known of is nobody's."""
    listed, persons = persons_at(edges, seen, instant.time_ms)
    keys = persons_of(lines.keys, listed, persons)
    is_somebody = is_user | np.isin(lines.keys, listed)
    return replace(lines, keys=np.where(is_somebody, keys, NOBODY))
