"""Made-up results of `trioecho check`, of which the reports' tests make reports."""

from __future__ import annotations

from dataclasses import replace

from trioecho.check.book.book import RULES, Level
from trioecho.check.diagnosis.causes import CAUSES
from trioecho.check.verdict import CaseResult, Event, SuiteResult, Verdict

FAILED = ("2.5", "2.6", "1.1")
# Markup, what XML cannot hold, what moves a terminal's cursor, what turns writing round,
# bytes that were no UTF-8, and half of a pair.
HOSTILE = "]]><script>alert(1)</script>&amp;\"'\x00\x08\x1b[2J\x7f\x85\u2028\u202e\ufffe\uffff\udc80\ud800"
HOSTILE_BYTES = HOSTILE.encode("utf-8", "surrogatepass") + bytes(range(256))


def result_of(case_id: str, verdict: Verdict = Verdict.PASS) -> CaseResult:
    """A case that ended so, with the evidence that such a case has."""
    rule = RULES[case_id]
    if verdict is Verdict.PASS:
        return CaseResult(case_id, verdict, "every echo came back right", elapsed_s=0.012)
    if verdict is Verdict.NOT_APPLICABLE:
        return CaseResult(case_id, verdict, "needs a server that --spawn has started")
    wire = b"\x00\x00\x00\x05hello\x00\x00\x00\x05again"
    return CaseResult(
        case_id,
        verdict,
        f"{rule.title}: one echo came, the other did not within 0.5 s",
        expected="two echoes, 18 bytes: 00 00 00 05 68 65 6c 6c 6f 00 00 00 05 61 67 61 69 6e",
        actual="one echo, 9 bytes: 00 00 00 05 68 65 6c 6c 6f; then nothing for 0.5 s",
        cause=CAUSES["one-parse-per-recv"] if verdict is Verdict.FAIL else None,
        transcript=(
            Event(0.0, 1, "event", text="connected"),
            Event(0.0002, 1, "sent", wire, len(wire)),
            Event(0.0011, 1, "received", wire[:9], 9),
            Event(0.0012, 2, "sent", bytes(range(64)), 70_000),
            Event(0.5011, 0, "event", text="0.5 s without a byte"),
        ),
        events_left_out=12,
        notes=("Tried twice, the second time with 2 s of patience.",),
        reproduce=f"trioecho check 127.0.0.1:26066 {case_id} --seed 7",
        elapsed_s=0.503,
        attempts=2,
    )


def suite(results: tuple[CaseResult, ...], *, target: str = "127.0.0.1:26066") -> SuiteResult:
    causes = dict.fromkeys(result.cause for result in results if result.cause)
    return SuiteResult(
        target=target,
        address="127.0.0.1:26066",
        command=None,
        seed=7,
        format="u32be",
        max_frame_length=1 << 20,
        round_trip_s=0.000085,
        patience_s=0.5,
        confirm_patience_s=2.0,
        jobs=8,
        results=results,
        causes=tuple(causes),
        notes=("The limit was told by --max-frame-length.",),
        started_at="2026-11-23T23:05:40.250Z",
        elapsed_s=4.25,
        versions={"trioecho": "0.1.0", "python": "3.11.6", "trio": "0.30.0", "platform": "Linux x86_64"},
    )


def good_suite() -> SuiteResult:
    """A server that was running already, and broke no rule."""
    return suite(
        tuple(
            result_of(rule.id, Verdict.NOT_APPLICABLE if rule.needs_spawn else Verdict.PASS)
            for rule in RULES.values()
        )
    )


def mixed_suite(*, target: str = "127.0.0.1:26066") -> SuiteResult:
    """All verdicts: `FAILED` failed, 3.8 warned, 7.1 inconclusive, those that need --spawn not applicable."""
    verdicts = dict.fromkeys(FAILED, Verdict.FAIL)
    verdicts |= {rule.id: Verdict.NOT_APPLICABLE for rule in RULES.values() if rule.needs_spawn}
    verdicts |= {"3.8": Verdict.WARN, "7.1": Verdict.INCONCLUSIVE}
    assert RULES["3.8"].level is Level.SHOULD
    return suite(
        tuple(result_of(rule.id, verdicts.get(rule.id, Verdict.PASS)) for rule in RULES.values()),
        target=target,
    )


def hostile_suite() -> SuiteResult:
    """Wherever a server or its command can have a say, it says `HOSTILE`."""
    results = tuple(
        replace(
            result,
            summary=HOSTILE,
            expected=HOSTILE,
            actual=HOSTILE,
            notes=(HOSTILE,),
            reproduce=HOSTILE,
            transcript=(
                Event(0.1, 1, "received", HOSTILE_BYTES, len(HOSTILE_BYTES)),
                Event(0.2, 0, "event", text=HOSTILE),
            ),
        )
        for result in mixed_suite().results
    )
    return replace(suite(results, target=HOSTILE), command=HOSTILE, notes=(HOSTILE,), address=HOSTILE)
