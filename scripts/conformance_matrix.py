"""Grade the servers in conformance_servers/, and print what each passes and fails as Markdown."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from trioecho.check.book.book import SECTIONS
from trioecho.check.runner.suite import Settings, Target, check
from trioecho.check.spawned.spawned_server import parse_command
from trioecho.check.verdict import SuiteResult, Verdict

SERVERS = Path(__file__).parent / "conformance_servers"
MIB = 1 << 20


@dataclass(frozen=True, eq=False)
class Candidate:
    """A server, and why it fails what it fails."""

    title: str
    words: tuple[str, ...]
    explanations: dict[str, str] = field(default_factory=dict)
    limit: int | None = MIB

    @property
    def command(self) -> str:
        return shlex.join([sys.executable, *self.words]).replace("'{port}'", "{port}")


def script(
    title: str, name: str, explanations: dict[str, str] | None = None, limit: int | None = MIB
) -> Candidate:
    return Candidate(title, (str(SERVERS / name), "{port}"), explanations or {}, limit)


NO_LIMIT = "It has no limit, and waits for as many bytes as were announced."
CANDIDATES = (
    Candidate("`trioecho serve`", ("-m", "trioecho", "serve", "--port", "{port}")),
    script("asyncio, streams", "asyncio_streams.py"),
    script("asyncio, protocol", "asyncio_protocol.py"),
    script("Twisted, `Int32StringReceiver`", "twisted_int32.py"),
    script(
        "Twisted, as one writes it at first",
        "twisted_plain.py",
        {
            "3.7": "A transport keeps what is written to it; nothing stops its reading meanwhile. "
            "One `registerProducer` fixes it.",
            "5.1": "Unless the protocol is `IHalfCloseableProtocol`, Twisted takes a client that has ended "
            "its side for one that is gone, and drops what it has not sent.",
        },
    ),
    script("threads, done right", "threads.py"),
    script(
        "the course's sample",
        "course_sample.py",
        {
            "4.3": NO_LIMIT,
            "4.4": NO_LIMIT,
            "4.5": NO_LIMIT,
            "4.9": "`recv(n)` is called with all of the length that was announced, and Python takes memory "
            "for n bytes before it asks the kernel.",
            "6.2": "`stop` does not wait for connections: the process ends, and resets what was under way.",
        },
        limit=None,
    ),
)
SIGNS = {
    Verdict.PASS: "✓",
    Verdict.WARN: "!",
    Verdict.FAIL: "✗",
    Verdict.NOT_APPLICABLE: "-",
    Verdict.INCONCLUSIVE: "?",
}


async def grade(candidate: Candidate) -> SuiteResult:
    settings = Settings(
        command=tuple(parse_command(candidate.command)), max_frame_length=candidate.limit, seed=0
    )
    return await check(Target(candidate.command), settings)


def table(results: dict[Candidate, SuiteResult]) -> list[str]:
    """Write a row for each server, a column for each section."""
    titles = [f"{section.number} {section.title}" for section in SECTIONS]
    lines = [f"| server | {' | '.join(titles)} |", "|---" * (1 + len(titles)) + "|"]
    for candidate, result in results.items():
        cells = []
        for section in SECTIONS:
            verdicts = [found for found in result.results if found.rule.section == section.number]
            passed = sum(found.verdict is Verdict.PASS for found in verdicts)
            others = [
                f"{SIGNS[found.verdict]} {found.rule.id}"
                for found in verdicts
                if found.verdict is not Verdict.PASS
            ]
            cells.append(", ".join([f"{passed}/{len(verdicts)}", *others]))
        lines.append(f"| {candidate.title} | {' | '.join(cells)} |")
    return lines


def explained(results: dict[Candidate, SuiteResult]) -> tuple[list[str], list[str]]:
    """Say why each fails what it fails; list what has no explanation, and explanations without a failure."""
    lines, wrong = [], []
    for candidate, result in results.items():
        broken = {
            found.rule.id: found
            for found in result.results
            if found.verdict in (Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE)
        }
        for text in dict.fromkeys(candidate.explanations.values()):
            ids = [case_id for case_id, other in candidate.explanations.items() if other == text]
            lines.append(f"- {candidate.title}, {', '.join(ids)}: {text}")
        for case_id, found in broken.items():
            if case_id not in candidate.explanations:
                wrong.append(f"{candidate.title}, {case_id}, is not explained: {found.summary}")
        wrong += [
            f"{candidate.title}, {case_id}, is explained and passes"
            for case_id in candidate.explanations
            if case_id not in broken
        ]
    return lines, wrong


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/conformance", description=__doc__)
    parser.add_argument("servers", nargs="*", help="parts of the names of those to grade (default: all)")
    names = parser.parse_args(arguments).servers
    results = {}
    for candidate in CANDIDATES:
        if not names or any(name in f"{candidate.title} {candidate.command}" for name in names):
            print(f"{candidate.title} ...", file=sys.stderr)
            results[candidate] = trio.run(grade, candidate)
    explanations, wrong = explained(results)
    print("\n".join([*table(results), "", "`!` a SHOULD is broken, `✗` a MUST, `-` not applicable.", ""]))
    print("\n".join(explanations))
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
