"""What probably is wrong with a client, from the pattern of what passed and what did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from ..client.finding import Deviation, Kind
from ..diagnosis.diagnosis import Diagnosis

# Ways in which a reply may come in pieces, which a client stumbles over that reads it in one.
_IN_PIECES = ("C1.2", "C1.3", "C1.4", "C1.5", "C1.6", "C1.7")
# One of each kind of thing that any client can notice.
_OF_EACH_KIND = {"C2.1", "C2.3", "C3.1", "C3.4"}


def name_causes_of_client(deviations: Mapping[str, Deviation | None]) -> Diagnosis:
    """Name likely causes.

    Args:
      deviations: of each case that was decided, in the book's order; None for one that passed.
    """
    failed = {rule_id: found for rule_id, found in deviations.items() if found is not None}
    by_case = {rule_id: found.cause_id for rule_id, found in failed.items() if found.cause_id is not None}
    unnoticed = {rule_id for rule_id, found in failed.items() if found.kind is Kind.WRONG}
    for cases, cause_id in (_of_reading(failed), _of_comparing(unnoticed, set(deviations) - set(failed))):
        by_case |= {rule_id: cause_id for rule_id in failed if rule_id in cases}
    overall = tuple(cause_id for cause_id, _ in Counter(by_case.values()).most_common())
    return Diagnosis(by_case, overall)


def _of_reading(failed: Collection[str]) -> tuple[Collection[str], str]:
    """Return the cases that a bug in reading explains, and its name."""
    if "C1.4" in failed or ("C1.3" in failed and "C1.5" in failed):
        return _IN_PIECES, "one-recv-per-reply"
    if "C1.3" in failed:
        return ("C1.2", "C1.3"), "reply-header-taken-whole"
    if "C1.5" in failed:
        return ("C1.2", "C1.5", "C1.7"), "reply-payload-taken-whole"
    return (_IN_PIECES, "one-reply-per-recv") if "C1.6" in failed else ((), "")


def _of_comparing(unnoticed: set[str], passed: set[str]) -> tuple[Collection[str], str]:
    """Return the cases that are explained by what the client does not compare, and why."""
    wrong = {rule_id for rule_id in unnoticed if rule_id.startswith("C2.")}
    if unnoticed >= _OF_EACH_KIND:
        return unnoticed, "exit-code-always-0"
    if unnoticed >= {"C2.1", "C2.2", "C2.3", "C2.4"}:
        return wrong, "replies-not-compared"
    if unnoticed >= {"C2.1", "C2.2"} and passed >= {"C2.3", "C2.4"}:
        return wrong & {"C2.1", "C2.2", "C2.6", "C2.8", "C2.9", "C2.10"}, "compares-lengths-only"
    if unnoticed >= {"C2.3", "C2.5"}:
        return wrong & {"C2.3", "C2.4", "C2.5", "C2.7"}, "compares-the-beginning"
    if unnoticed >= {"C2.6", "C2.8"}:
        return wrong & {"C2.6", "C2.8"}, "takes-any-message"
    if len({"C2.1", "C2.2"} & unnoticed) == len({"C2.1", "C2.2"} & passed) == 1:
        return wrong, "compares-some-replies"
    return (), ""
