"""DuckDB's side of the dataset build: the same rows out of the same events, two ways.

Run by benchmarks/warehouse.py in the environment of requirements.txt. Settings come as JSON on the
command line, requests as JSON lines on standard input: {"do": "load"}, {"do": "run", "way": ...}.
"""

import json
import sys
import time
from bisect import bisect_right
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

ORDER = "event = 'Order Completed' AND gross_micros > 0 AND order_part = 0"
BOUGHT = "event = 'Order Completed' AND gross_micros > 0"
WINDOWS = (7, 30, 60, 90, 180, 365)
VISIT_WINDOWS = (7, 30, 60, 90)


def main() -> None:
    settings = json.loads(sys.argv[1])
    connection = duckdb.connect(settings["database"])
    connection.execute("SET threads = ?", [settings["threads"]])
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET enable_progress_bar = false")
    for line in sys.stdin:
        request = json.loads(line)
        started = time.perf_counter()
        if request["do"] == "load":
            load(connection, settings)
            answer: dict[str, Any] = {"version": duckdb.__version__}
        else:
            check(connection, settings)
            checked = time.perf_counter()
            rows = WAYS[request["way"]](settings)
            table = connection.sql(f"{rows}\nORDER BY user_key, as_of_index").to_arrow_table()
            ended = time.perf_counter()
            answer = {
                "seconds": ended - started,
                "check_seconds": checked - started,
                "rows": table.num_rows,
            }
            answer["checksums"] = checksums(table)
        print(json.dumps({"seconds": time.perf_counter() - started, **answer}), flush=True)


def load(connection: duckdb.DuckDBPyConnection, settings: dict[str, Any]) -> None:
    """Store the events in DuckDB's own format, sorted as Oriel's table is."""
    connection.execute(
        f"""CREATE TABLE events AS
        SELECT message_id, event, user_key, epoch_ms(event_time) AS ms,
          epoch_ms(ingest_time) AS known_ms, order_part, gross_micros, net_micros,
          product_ids, quantities
        FROM '{settings["parquet"]}' ORDER BY user_key, ms"""
    )
    connection.execute("CHECKPOINT")


def check(connection: duckdb.DuckDBPyConnection, settings: dict[str, Any]) -> None:
    """Make sure that no event is stored twice; different hashes prove different ids."""
    ((count, unique),) = connection.execute(
        f"""SELECT count(*), count(DISTINCT hash(message_id)) FROM events
        WHERE ms < {settings["end_ms"]} AND known_ms <= {settings["known_ms"]}"""
    ).fetchall()
    assert count == unique


def checksums(table: pa.Table) -> dict[str, int]:
    """Add up the bits of each column as float32; a missing value counts as a number of its own."""
    sums = {"user_key": int(table["user_key"].to_numpy().astype(np.uint64).sum(dtype=np.uint64))}
    for name in table.column_names[2:]:
        values = table[name].to_numpy(zero_copy_only=False)
        if name == "spend_micros":
            sums[name] = int(np.nan_to_num(values).astype(np.int64).sum())
            continue
        bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32).astype(np.uint64)
        bits[np.isnan(values.astype(np.float64))] = 1
        sums[name] = int(bits.sum(dtype=np.uint64))
    return sums


def instants(settings: dict[str, Any]) -> str:
    rows = ", ".join(f"({k}, {day}, {ms})" for k, (day, ms) in enumerate(settings["instants"]))
    return f"instants AS MATERIALIZED (SELECT * FROM (VALUES {rows}) AS t(k, a, ams))"


def events(settings: dict[str, Any]) -> str:
    return f"""ev AS (
  SELECT user_key, event, ms, (ms // 86400000)::INT AS day, order_part, gross_micros, net_micros,
    product_ids, quantities
  FROM events
  WHERE user_key != 0 AND ms < {settings["end_ms"]} AND known_ms <= {settings["known_ms"]}),
users AS (
  SELECT user_key, min(ms) AS seen, min(ms) FILTER ({ORDER}) AS first_order FROM ev GROUP BY ALL)"""


def sales_tiles(key: str) -> str:
    return f"""
  SELECT user_key, {key},
    count(*) FILTER ({ORDER}) AS o,
    coalesce(sum(gross_micros) FILTER ({BOUGHT}), 0)::BIGINT AS g,
    sum(net_micros)::BIGINT AS n,
    sum(gross_micros - net_micros)::BIGINT AS r,
    max(gross_micros) FILTER ({ORDER}) AS mg,
    coalesce(sum(gross_micros) FILTER ({ORDER}), 0)::BIGINT AS og,
    max(ms) FILTER ({ORDER}) AS lo,
    coalesce(sum(round(1e6 * list_sum(quantities))::BIGINT) FILTER ({ORDER}), 0)::BIGINT AS q,
    count(*) FILTER (event = 'Order Refunded') AS rf"""


def by_day(settings: dict[str, Any]) -> str:
    """Join instants to tiles of a user and a day by range."""

    def window(measure: str, since: int, until: int = 0) -> str:
        return (
            f"coalesce(sum({measure}) FILTER (day >= a - {since} AND day < a - {until}), 0)::BIGINT"
        )

    return f"""
WITH {instants(settings)}, {events(settings)},
sales AS MATERIALIZED ({sales_tiles("day")}
  FROM ev WHERE event IN ('Order Completed', 'Order Refunded') GROUP BY user_key, day),
gaps AS (
  SELECT user_key, day, day - lag(day) OVER (PARTITION BY user_key ORDER BY day) AS gap
  FROM sales WHERE o > 0),
firsts AS (
  SELECT user_key, product, min(day) AS day
  FROM (SELECT user_key, day, unnest(product_ids) AS product FROM ev WHERE {ORDER}) GROUP BY ALL),
s AS (
  SELECT user_key, k, {_totals()},
    {", ".join(f"{window('o', w)} AS o{w}, {window('g', w)} AS g{w}" for w in WINDOWS)},
    {window("og", 90)} AS og90, {window("o", 60, 30)} AS op30, {window("o", 180, 90)} AS op90,
    {window("g", 180, 90)} AS gp90
  FROM sales, instants WHERE day < a GROUP BY user_key, k),
lab AS (
  SELECT user_key, k, sum(g)::BIGINT AS spend FROM sales, instants
  WHERE day >= a AND day < a + {settings["horizon_days"]} GROUP BY user_key, k),
gp AS (
  SELECT user_key, k, count(*) AS nd, max(day) AS d1, min(day) AS d0,
    sum(gap * gap)::BIGINT AS gg, arg_max(gap, day) AS gl, max(gap) AS gm
  FROM gaps, instants WHERE day < a GROUP BY user_key, k),
pp AS (SELECT user_key, k, count(*) AS np FROM firsts, instants WHERE day < a GROUP BY user_key, k),
visits AS MATERIALIZED (
  SELECT user_key, day, count(*) FILTER (event = 'Product Viewed') AS v,
    count(*) FILTER (event = 'Product Added') AS c
  FROM ev WHERE event IN ('Product Viewed', 'Product Added') GROUP BY user_key, day),
vv AS (
  SELECT user_key, k, {window("v", 7)} AS v7, {window("v", 30)} AS v30, {window("v", 90)} AS v90,
    {window("v", 60, 30)} AS vp30, {window("c", 7)} AS c7, {window("c", 30)} AS c30,
    {window("c", 90)} AS c90
  FROM visits, instants WHERE day < a AND day >= a - 90 GROUP BY user_key, k)
{_answer()}"""


def by_slot(settings: dict[str, Any]) -> str:
    """Cut time at the edges of all windows, add up a user's slots, then the slots of a window."""
    days = [day for day, _ in settings["instants"]]
    horizon = settings["horizon_days"]
    edges = sorted({day - w for day in days for w in (0, *WINDOWS)} | {d + horizon for d in days})
    visit_edges = sorted({day - w for day in days for w in (0, *VISIT_WINDOWS)})
    flags = ", ".join(f"i{w}" for w in WINDOWS)
    visit_flags = ", ".join(f"i{w}" for w in VISIT_WINDOWS)

    def between(measure: str, since: int, until: int) -> str:
        return f"sum({measure} * (i{since} - i{until}))::BIGINT"

    sums = ", ".join(
        f"sum(o * i{w})::BIGINT AS o{w}, sum(g * i{w})::BIGINT AS g{w}" for w in WINDOWS
    )
    return f"""
WITH {instants(settings)}, {events(settings)},
reach AS MATERIALIZED (
  SELECT * FROM (VALUES {_reach(days, edges, WINDOWS)}) AS t(slot, k, {flags})),
label_reach AS MATERIALIZED (
  SELECT * FROM (VALUES {_label_reach(days, edges, horizon)}) AS t(slot, k)),
visit_reach AS MATERIALIZED (
  SELECT * FROM (VALUES {_reach(days, visit_edges, VISIT_WINDOWS, 90)})
  AS t(slot, k, {visit_flags})),
slots AS MATERIALIZED (SELECT * FROM (VALUES {_slots(edges)}) AS t(day, slot)),
visit_slots AS MATERIALIZED (SELECT * FROM (VALUES {_slots(visit_edges)}) AS t(day, slot)),
sales_rows AS (
  SELECT ev.*, slot FROM ev JOIN slots USING (day)
  WHERE event IN ('Order Completed', 'Order Refunded')),
sales AS MATERIALIZED ({sales_tiles("slot")} FROM sales_rows GROUP BY user_key, slot),
gap_days AS (
  SELECT user_key, slot, day, day - lag(day) OVER (PARTITION BY user_key ORDER BY day) AS gap
  FROM (SELECT DISTINCT user_key, day, slot FROM sales_rows WHERE {ORDER})),
gaps AS (
  SELECT user_key, slot, count(*) AS nd, max(day) AS d1, min(day) AS d0,
    sum(gap * gap)::BIGINT AS gg, arg_max(gap, day) AS gl, max(gap) AS gm
  FROM gap_days GROUP BY user_key, slot),
firsts AS (
  SELECT user_key, slot, count(*) AS np FROM (
    SELECT user_key, product, min(slot) AS slot
    FROM (SELECT user_key, slot, unnest(product_ids) AS product FROM sales_rows WHERE {ORDER})
    GROUP BY ALL) GROUP BY user_key, slot),
s AS (
  SELECT user_key, k, {_totals()}, {sums}, sum(og * i90)::BIGINT AS og90,
    {between("o", 60, 30)} AS op30, {between("o", 180, 90)} AS op90,
    {between("g", 180, 90)} AS gp90
  FROM sales JOIN reach USING (slot) GROUP BY user_key, k),
lab AS (
  SELECT user_key, k, sum(g)::BIGINT AS spend FROM sales JOIN label_reach USING (slot)
  GROUP BY user_key, k),
gp AS (
  SELECT user_key, k, sum(nd)::BIGINT AS nd, max(d1) AS d1, min(d0) AS d0,
    sum(gg)::BIGINT AS gg, arg_max(gl, d1) AS gl, max(gm) AS gm
  FROM gaps JOIN reach USING (slot) GROUP BY user_key, k),
pp AS (
  SELECT user_key, k, sum(np)::BIGINT AS np FROM firsts JOIN reach USING (slot)
  GROUP BY user_key, k),
visits AS MATERIALIZED (
  SELECT user_key, slot, count(*) FILTER (event = 'Product Viewed') AS v,
    count(*) FILTER (event = 'Product Added') AS c
  FROM ev JOIN visit_slots USING (day)
  WHERE event IN ('Product Viewed', 'Product Added') GROUP BY user_key, slot),
vv AS (
  SELECT user_key, k, sum(v * i7)::BIGINT AS v7, sum(v * i30)::BIGINT AS v30,
    sum(v * i90)::BIGINT AS v90, {between("v", 60, 30)} AS vp30, sum(c * i7)::BIGINT AS c7,
    sum(c * i30)::BIGINT AS c30, sum(c * i90)::BIGINT AS c90
  FROM visits JOIN visit_reach USING (slot) GROUP BY user_key, k)
{_answer()}"""


WAYS = {"by_day": by_day, "by_slot": by_slot}


def _totals() -> str:
    return (
        "sum(o)::BIGINT AS o, sum(g)::BIGINT AS g, sum(n)::BIGINT AS n, sum(r)::BIGINT AS r, "
        "max(mg) AS mg, sum(og)::BIGINT AS og, max(lo) AS lo, sum(q)::BIGINT AS q, "
        "sum(rf)::BIGINT AS rf"
    )


def _slots(edges: list[int]) -> str:
    days = range(edges[0] - 800, edges[-1] + 800)
    return ", ".join(f"({day}, {bisect_right(edges, day)})" for day in days)


def _reach(days: list[int], edges: list[int], windows: tuple[int, ...], longest: int = 0) -> str:
    rows = []
    for slot in range(len(edges) + 1):
        start = edges[slot - 1] if slot else edges[0] - 10_000
        for k, day in enumerate(days):
            if start < day and (not longest or start >= day - longest):
                flags = ", ".join(str(int(start >= day - w)) for w in windows)
                rows.append(f"({slot}, {k}, {flags})")
    return ", ".join(rows)


def _label_reach(days: list[int], edges: list[int], horizon: int) -> str:
    return ", ".join(
        f"({slot}, {k})"
        for slot in range(1, len(edges) + 1)
        for k, day in enumerate(days)
        if day <= edges[slot - 1] < day + horizon
    )


def _answer() -> str:
    spans = (7, 30, 90, 180, 365)
    return f"""
SELECT u.user_key, u.k AS as_of_index,
  coalesce(o, 0) AS orders_ever, (ams - lo) / 86400000 AS recency_days,
  (ams - fo) / 86400000 AS tenure_days, (ams - seen) / 86400000 AS known_days,
  coalesce(g, 0) / 1e6 AS gross_ever, coalesce(n, 0) / 1e6 AS net_ever,
  CASE WHEN o > 0 THEN g / 1e6 / o END AS basket_mean, mg / 1e6 AS basket_max,
  coalesce(nd, 0) AS order_days_ever, coalesce(np, 0) AS products_ever,
  CASE WHEN o > 0 THEN q / 1e6 / o END AS items_per_order, coalesce(rf, 0) AS refunds_ever,
  CASE WHEN g != 0 THEN (r / 1e6) / (g / 1e6) END AS refund_share,
  {", ".join(f"coalesce(o{w}, 0) AS orders_{w}d" for w in spans)},
  {", ".join(f"coalesce(g{w}, 0) / 1e6 AS gross_{w}d" for w in spans)},
  {", ".join(f"coalesce(v{w}, 0) AS views_{w}d" for w in (7, 30, 90))},
  {", ".join(f"coalesce(c{w}, 0) AS carts_{w}d" for w in (7, 30, 90))},
  gap_mean AS gap_mean_days,
  CASE WHEN nd > 2 THEN sqrt(greatest(gg / (nd - 1) - gap_mean * gap_mean, 0)) END AS gap_std_days,
  gl AS gap_last_days, gm AS gap_max_days,
  ((ams - lo) / 86400000) / gap_mean AS recency_over_gap,
  ((ams - lo) / 86400000) / ((ams - fo) / 86400000) AS recency_over_tenure,
  o / ((ams - fo) / 86400000) AS order_rate,
  CASE WHEN o30 + op30 != 0 THEN (o30 - op30) / (o30 + op30) END AS orders_balance_30d,
  CASE WHEN o90 + op90 != 0 THEN (o90 - op90) / (o90 + op90) END AS orders_balance_90d,
  CASE WHEN g90 + gp90 != 0 THEN (g90 / 1e6 - gp90 / 1e6) / (g90 / 1e6 + gp90 / 1e6) END
    AS gross_balance_90d,
  CASE WHEN o != 0 THEN o90 / o END AS orders_share_90d,
  CASE WHEN o90 != 0 THEN (og90 / 1e6 / o90) / (og / 1e6 / o) END AS basket_ratio_90d,
  CASE WHEN v30 + vp30 != 0 THEN (v30 - vp30) / (v30 + vp30) END AS views_balance_30d,
  coalesce(spend, 0) AS spend_micros
FROM (
  SELECT u.user_key, i.k, ams, seen, CASE WHEN first_order < ams THEN first_order END AS fo
  FROM users u JOIN instants i ON u.seen < i.ams) AS u
LEFT JOIN s ON s.user_key = u.user_key AND s.k = u.k
LEFT JOIN (
  SELECT *, CASE WHEN nd > 1 THEN (d1 - d0) / (nd - 1) END AS gap_mean FROM gp
) AS gp ON gp.user_key = u.user_key AND gp.k = u.k
LEFT JOIN pp ON pp.user_key = u.user_key AND pp.k = u.k
LEFT JOIN vv ON vv.user_key = u.user_key AND vv.k = u.k
LEFT JOIN lab ON lab.user_key = u.user_key AND lab.k = u.k"""


if __name__ == "__main__":
    main()
