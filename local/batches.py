"""Which records of a batch a function's answer leaves to be done again; the same rules for queues and streams."""

from __future__ import annotations

from collections.abc import Sequence

from local.lambdas import Result


def failed_ids(result: Result, ids: Sequence[str], *, partial: bool) -> set[str]:
    """AWS, "Implementing partial batch responses": what counts as complete success and as complete failure."""
    if result.failed:
        return set(ids)
    if not partial:
        return set()
    try:
        answer = result.value
    except ValueError:
        return set(ids)
    if answer is None:
        return set()
    if not isinstance(answer, dict):
        return set(ids)
    failures = answer.get("batchItemFailures")
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return set(ids)
    named = [str(failure.get("itemIdentifier")) if isinstance(failure, dict) else "" for failure in failures]
    # A name that is empty, missing or of no record: nobody knows what was meant, so everything comes again.
    return set(named) if all(name in ids for name in named) else set(ids)
