"""Which pairs of keys say something new."""

import numpy as np
import pyarrow as pa

_KEYS = ["from_key", "to_key"]


def unknown_edges(edges: pa.Table, known: pa.Table) -> pa.Table:
    """Return the edges whose pair is not known yet, or only from a later event on.

    Args:
        edges: Edges of table `identity`, each pair once.
        known: from_key, to_key and event_time of stored edges.
    """
    if not known.num_rows:
        return edges
    columns = [*_KEYS, "event_time"]
    first = known.select(columns).group_by(_KEYS).aggregate([("event_time", "min")])
    asked = edges.select(columns).append_column("place", pa.array(np.arange(edges.num_rows)))
    met = asked.join(first, keys=_KEYS, join_type="left outer").sort_by("place")
    earlier = met.column("event_time_min").cast(pa.int64()).fill_null(np.iinfo(np.int64).max)
    is_new = earlier.to_numpy() > met.column("event_time").cast(pa.int64()).to_numpy()
    return edges.filter(pa.array(is_new))
