"""Builds datasets of clicks: reads sessions, counts over earlier ones, writes what comes next."""

from collections.abc import Iterator
from pathlib import Path

from services.feature.domain.click_pairs import CANDIDATES, FEATURES, click_rows
from services.feature.domain.click_scores import RULES
from services.feature.domain.click_sessions import (
    Sessions,
    blocks_of,
    click_rules,
    sessions_of,
)
from services.feature.domain.rules import require
from services.feature.usecases.build_table import TableSource
from services.feature.usecases.explanation import Explanation
from services.feature.usecases.ports import Watched
from shared.config.clicks import ClickPrediction
from shared.dataset.clicks import ClickBlock, ClickManifest, ClickRows, write_clicks


def explain_clicks(question: ClickPrediction, source: TableSource) -> Explanation:
    """Say what a dataset of clicks would hold; builds nothing.

    Raises:
        InvalidArgumentError: A column or a cell is wrong; the message names it.
    """
    table, judged = source.read()
    sessions = sessions_of(table, question, judged)
    blocks, test = blocks_of(sessions)
    counts = [block.row_count for block in blocks]
    folds = {"evaluation": (sum(counts[:-1]), counts[-1])}
    if test:
        folds["test files"] = (sum(counts[1:]), test.row_count)
    named = (question.session, question.position, question.item)
    others = [column for column in table.column_names if column not in named]
    return Explanation(
        row_count=sum(counts) + (test.row_count if test else 0),
        folds=folds,
        features=FEATURES,
        excluded=dict.fromkeys(others, "source does not name it"),
        rules=click_rules(sessions),
    )


def build_clicks(
    name: str, question: ClickPrediction, source: TableSource, folder: Path, job: Watched
) -> ClickManifest:
    """Build a dataset of clicks in a folder, whole or not at all.

    Args:
        name: datasets/{dataset}
        question: What is asked.
        source: The clicks.
        folder: Where the dataset shall be.
        job: Hears progress.

    Raises:
        InvalidArgumentError: A column or a cell is wrong; the message names it.
        FailedPreconditionError: There are too few sessions.
    """
    table, judged = source.read()
    sessions = sessions_of(table, question, judged)
    require(click_rules(sessions), "Bring more sessions")
    blocks, test = blocks_of(sessions)
    return write_clicks(
        folder,
        _watched(sessions, (*blocks, *([test] if test else ())), job),
        name=name,
        predictions=(question.name,),
        features=FEATURES,
        rules=RULES,
        items=sessions.item_ids,
        first_sessions=tuple(sessions.first_sessions().tolist()),
        candidate_count=CANDIDATES,
        spans=blocks,
        test=test,
        test_sessions=sessions.session_ids[test.first_session :] if test else (),
        source_files=source.digests(),
    )


def _watched(
    sessions: Sessions, blocks: tuple[ClickBlock, ...], job: Watched
) -> Iterator[ClickRows]:
    """Make the rows of all blocks, telling how far that is."""
    total, done = sum(block.row_count for block in blocks), 0
    for block in blocks:
        job.progress(done, total, "clicks", f"counting over {block.first_session:,} sessions")
        for rows in click_rows(sessions, block):
            job.raise_if_cancelled()
            yield rows
            done += len(rows)
            job.progress(done, total, "clicks", "looking for what may come next")
