"""One try of a case, and the verdict that it comes to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from ...base.describe import describe
from ..book.book import Level, Rule
from ..client.finding import Deviation, InconclusiveError, NotApplicableError
from ..spawned.spawned_process import SpawnError
from ..verdict import Verdict
from .outcome import CaseOutcome, Named


async def judge_case(
    case: Named, rule: Rule, run: Callable[[], Awaitable[str]], *, most_s: float
) -> CaseOutcome:
    """Run a case, and return its verdict, without the evidence.

    Args:
      case: which.
      rule: what it tries; a deviation that has no level of its own has that of the rule.
      run: tries it; returns what was seen, or raises what it found.
      most_s: how long it may take, in seconds.
    """
    deviation = None
    try:
        with trio.fail_after(most_s):
            verdict, summary = Verdict.PASS, await run()
    except Deviation as error:
        deviation = error
        verdict = Verdict.FAIL if (error.level or rule.level) is Level.MUST else Verdict.WARN
        summary = error.actual
    except NotApplicableError as error:
        verdict, summary = Verdict.NOT_APPLICABLE, str(error)
    except (InconclusiveError, SpawnError) as error:
        verdict, summary = Verdict.INCONCLUSIVE, str(error)
    except trio.TooSlowError:
        verdict, summary = Verdict.INCONCLUSIVE, f"not done after {most_s:.3g} s"
    except OSError as error:
        verdict, summary = Verdict.INCONCLUSIVE, f"this machine could not: {describe(error)}"
    return CaseOutcome(case, verdict, summary, 0.0, (), 0, deviation)
