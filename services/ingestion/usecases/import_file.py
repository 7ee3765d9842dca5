"""Imports a file as long work."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from services.ingestion.usecases.circumstances import Circumstances
from services.ingestion.usecases.letters import DurableLetterBox
from services.ingestion.usecases.ports import Source, Tally
from shared.jobs import JobContext


def import_file(
    circumstances: Circumstances, source: Source, uri: str, context: JobContext
) -> Mapping[str, Any]:
    """Take all rows of a file in; what is stored before a stop stays, a new start adds the rest.

    Returns:
        The counts of `Tally` by name.
    """
    mapping = source.mapping
    rules = circumstances.rules(mapping)
    letters = DurableLetterBox(
        circumstances.stores,
        source=mapping.source,
        origin=uri,
        layout=source.layout,
        mapping_name=mapping.name,
        now_milliseconds=rules.now_milliseconds,
    )
    done = Tally()
    with (
        circumstances.stores.file_memory(mapping.source) as memory,
        ThreadPoolExecutor(1, thread_name_prefix="import-store") as pool,
    ):
        intake = circumstances.intake(rules, memory, letters, pool)
        for batch in source.batches():
            context.raise_if_cancelled()
            done += intake.take(batch)
            context.update(**done.counts())
            total = max(source.total_rows, done.row_count)
            context.progress(done.row_count, total, "rows", "reading and checking rows")
        context.raise_if_cancelled()
        context.progress(done.row_count, done.row_count, "rows", "storing what waited")
        done += intake.finish()
    context.update(**done.counts())
    context.progress(done.row_count, done.row_count, "rows", "done")
    return done.counts()
