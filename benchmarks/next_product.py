"""Does Oriel name better products than plain rules, in the window after the one it learned from?

Each shop is cut at a day: what was before it is known, and the 90 days after it tell who was right.
Lists of ten are judged among users who order then. A hit is a list with at least one product that
the user orders; of new products, one that the user had never ordered. The rules rank all products
of the shop and break ties by what sold in the last 30 days. Differences are bootstrapped over
users, paired.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors.numpy import load

from benchmarks.machine import ROOT, keep
from benchmarks.next_product_rules import Shelf, rules
from benchmarks.readme import write_section
from services.feature.domain.persons import Edges, FirstSeen
from services.feature.domain.product_lines import NOBODY, OrderLines
from services.feature.usecases.build_product import ProductDatasetBuilder, ProductOrder
from services.training.evaluation.bootstrap import comparisons, draws, measure
from services.training.runs.product_answer import answers
from services.training.runs.product_config import ANY, NEW, product_config_of, product_layers
from services.training.runs.product_judge import top_places
from services.training.runs.products import run_products
from shared.config.prediction import shipped_text
from shared.config.product import parse_product_prediction
from shared.dataset.products import NONE, ProductDatasetReader

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CUTS = {
    "online_retail": ("2011-06-12",),
    "online_retail_ii_uk": ("2011-03-14", "2011-06-12"),
}
HORIZON_DAYS, PLACES, SAMPLES, SEEDS = 90, 10, 1_000, 2

Lists = dict[str, npt.NDArray[np.int64]]
"""Places of products [user, place] by question."""


def main(arguments: list[str]) -> int:
    """Judge all shops and cuts, or one, and keep the numbers beside those kept before."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks next_product")
    parser.add_argument("--only", nargs=2, metavar=("SHOP", "CUT"), help="one shop at one cut")
    parser.add_argument("--no-keep", action="store_true", help="leave the kept results alone")
    options = parser.parse_args(arguments)
    cuts = [(shop, cut) for shop, days in CUTS.items() for cut in days]
    found = [judged(*each) for each in ([options.only] if options.only else cuts)]
    if not options.no_keep:
        kept = ROOT / "benchmarks" / "results" / "next_product.json"
        before = json.loads(kept.read_text(encoding="utf-8"))["cuts"] if kept.exists() else []
        results = {(each["shop"], each["cut"]): each for each in (*before, *found)}
        ordered = [results[each] for each in cuts if each in results]
        write_section("next_product", table(ordered))
        answer = {"command": "make bench NAME=next_product", "cuts": ordered}
        print(f"kept {keep('next_product', answer)}")
    return 0


def judged(shop: str, cut: str) -> dict[str, Any]:
    """Everything about one shop at one cut."""
    lines = lines_of(ROOT.parent / "shared" / "data" / shop / "events.parquet")
    as_of = datetime.fromisoformat(cut).replace(tzinfo=UTC)
    day = float((as_of - EPOCH).days)
    after = lines.rows((lines.days >= day) & (lines.days < day + HORIZON_DAYS))
    shelf = Shelf(lines, day)
    users = np.intersect1d(shelf.keys, after.keys)
    named: dict[str, Lists] = _rule_lists(shelf, users)
    started = time.process_time()
    ours = oriel_lists(lines, as_of, users)
    seconds = time.process_time() - started
    sampled = draws(len(users), SAMPLES, 1)
    truth = _Truth(lines, shelf, after, users)
    scores = {name: measure(truth.metrics(lists), sampled) for name, lists in named.items()}
    seeds = [measure(truth.metrics(each), sampled) for each in ours]
    whole = comparisons({"model": seeds[0], **scores})
    result = {
        "shop": shop,
        "cut": cut,
        "users": len(users),
        "cpu_seconds": round(seconds, 1),
        "oriel": [dict(each.values) for each in seeds],
        "rules": {name: dict(each.values) for name, each in scores.items()},
        "differences": whole,
    }
    print(f"{shop}, {cut}: {len(users):,} users")
    for name, each in [*((f"Oriel {n}", s) for n, s in enumerate(seeds, 1)), *scores.items()]:
        print(f"  {name}: {', '.join(f'{k} {v:.4f}' for k, v in each.values.items())}", flush=True)
    return result


def lines_of(path: Path) -> OrderLines:
    """Products of orders of a file of invoice lines: bought, paid for and not cancelled."""
    table = pq.read_table(path)
    is_bought = pc.and_(pc.greater(table["quantity"], 0), pc.greater(table["unit_price"], 0))
    is_kept = pc.invert(pc.starts_with(table["invoice"], "C"))
    table = table.filter(pc.and_(is_bought, is_kept)).sort_by("timestamp")
    ids, products = np.unique(table["stock_code"].to_numpy().astype(str), return_inverse=True)
    _, orders = np.unique(table["invoice"].to_numpy().astype(str), return_inverse=True)
    stamps = table["timestamp"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    customers = pc.fill_null(table["customer_id"], 0).to_numpy().astype(np.uint64)
    prices = table["unit_price"].to_numpy()
    return OrderLines(customers, orders, products, stamps / 86_400_000, prices, tuple(ids.tolist()))


def oriel_lists(lines: OrderLines, as_of: datetime, users: npt.NDArray[np.uint64]) -> list[Lists]:
    """What models of several seeds, trained before an instant, name to users."""
    question = parse_product_prediction(shipped_text("next_product"))
    shop = _Shop(lines)
    builder = ProductDatasetBuilder(shop, shop, "UTC")
    with tempfile.TemporaryDirectory(prefix="oriel-bench-") as name:

        def dataset(purpose: str) -> ProductDatasetReader:
            order = ProductOrder(f"datasets/{purpose}", purpose, question, as_of, as_of)
            builder.build(order, Path(name) / purpose, _Quiet())
            return ProductDatasetReader(Path(name) / purpose)

        training, rows = dataset("training"), dataset("scoring").rows()
        rows = rows.rows(np.searchsorted(rows.user_keys, users))
        is_any = rows.products != NONE
        allowed = {ANY: is_any, NEW: is_any & ~rows.is_own}
        found: list[Lists] = []
        for seed in range(1, SEEDS + 1):
            config = product_config_of(question, seed, 20)
            run = run_products(training, "next_product", config, _Quiet())
            layers = product_layers(config, rows.products.shape[1], rows.features.shape[2])
            said = answers(layers, load(run.files["weights.safetensors"]), rows)
            found.append({each: _named(rows.products, said[each], allowed[each]) for each in said})
    return found


def _named(
    products: npt.NDArray[np.int32], scores: npt.NDArray[Any], is_allowed: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    places = top_places(scores, is_allowed, PLACES)
    named = np.take_along_axis(products, np.maximum(places, 0), axis=1)
    return np.where(places < 0, NONE, named).astype(np.int64)


def table(found: list[dict[str, Any]]) -> str:
    """Return the README's table."""
    lines = [
        "| shop, cut | users | hit rate | Oriel (two seeds) | best rule | gain over it (95 %) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in found:
        for question in (ANY, NEW):
            metric = f"hit_rate_{question}"
            ours = [seed[metric] for seed in each["oriel"]]
            rule, best = max(
                ((name, values[metric]) for name, values in each["rules"].items()),
                key=lambda pair: pair[1],
            )
            gap = next(
                row
                for row in each["differences"]
                if (row["metric"], row["baseline"]) == (metric, rule)
            )
            lines.append(
                f"| {each['shop']}, {each['cut']} | {each['users']:,} | {question} | "
                f"{', '.join(f'{value:.3f}' for value in ours)} | {best:.3f} ({rule}) | "
                f"{gap['difference']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f}) |"
            )
    return "\n".join(lines)


class _Truth:
    """What users ordered in the window, of products numbered as in the lines."""

    def __init__(
        self, lines: OrderLines, shelf: Shelf, after: OrderLines, users: npt.NDArray[np.uint64]
    ) -> None:
        self._wanted = np.zeros((len(users), len(lines.product_ids) + 1), np.bool_)
        chosen = after.rows(np.isin(after.keys, users) & (after.keys != NOBODY))
        self._wanted[np.searchsorted(users, chosen.keys), chosen.products] = True
        owned = shelf.owned[np.searchsorted(shelf.keys, users)].toarray() > 0
        self._new = self._wanted.copy()
        self._new[:, :-1] &= ~owned

    def metrics(self, lists: Lists) -> Mapping[str, Any]:
        """Hit rates and NDCG by question, as functions of the weights of users."""
        found: dict[str, Any] = {}
        discount = 1 / np.log2(np.arange(2, PLACES + 2))
        for name, wanted in ((ANY, self._wanted), (NEW, self._new)):
            hits = np.take_along_axis(wanted, lists[name], axis=1)
            best = np.concatenate([[np.inf], discount.cumsum()])
            ideal = best[np.minimum(wanted.sum(axis=1), PLACES)]
            found[f"hit_rate_{name}"] = _mean(hits.any(axis=1).astype(np.float64))
            found[f"ndcg_{name}"] = _mean(np.asarray((hits * discount).sum(axis=1) / ideal))
        return found


def _mean(values: npt.NDArray[np.float64]) -> Any:
    return lambda weights: float((values * weights).sum() / weights.sum())


def _rule_lists(shelf: Shelf, users: npt.NDArray[np.uint64]) -> dict[str, Lists]:
    parts: dict[str, dict[str, list[npt.NDArray[np.int64]]]] = {}
    start = 0
    for block in rules(shelf):
        size = len(next(iter(block.values()))[0])
        rows = np.flatnonzero(np.isin(shelf.keys[start : start + size], users))
        is_new = shelf.owned[start : start + size].toarray()[rows] == 0
        for name, (of_any, of_new) in block.items():
            lists = parts.setdefault(name, {ANY: [], NEW: []})
            lists[ANY].append(top_places(of_any[rows], np.ones_like(is_new), PLACES))
            lists[NEW].append(top_places(of_new[rows], is_new, PLACES))
        start += size
    return {
        name: {question: np.concatenate(each) for question, each in lists.items()}
        for name, lists in parts.items()
    }


class _Shop:
    """Lines in memory, as a warehouse would give them."""

    def __init__(self, lines: OrderLines) -> None:
        self._lines = lines

    def lines(self, end: datetime, known_at: datetime) -> Any:
        """Lines before the end, all of identified users or of nobody."""
        del known_at
        lines = self._lines.rows(self._lines.days < (end - EPOCH) / timedelta(days=1))
        return lines, lines.keys != NOBODY

    def users(self, end: datetime, known_at: datetime) -> Any:
        """All who ordered before the end."""
        keys = np.unique(self.lines(end, known_at)[0].keys)
        return keys[keys != NOBODY]

    def edges(self, end: datetime, known_at: datetime) -> Any:
        """No key is another's."""
        del end, known_at
        none = np.zeros(0, np.uint64)
        return Edges(none, none, none.astype(np.int64)), FirstSeen(none, none.astype(np.int64))


class _Quiet:
    def progress(self, *_: Any) -> None:
        """Say nothing."""

    def raise_if_cancelled(self) -> None:
        """Go on."""

    def epoch(self, *_: Any) -> None:
        """Say nothing."""

    def pace(self, *_: Any) -> None:
        """Say nothing."""

    def fitted(self, *_: Any) -> None:
        """Say nothing."""
