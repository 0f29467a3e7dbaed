"""``scripts/conformance``: grade servers, and print what was seen as Markdown."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .candidate import Candidate
from .grading import Grade, GradingError, grade, unexplained
from .installing import install
from .own import OWN
from .page import LEGEND, reasons, table, write_page
from .services import SERVICES

_DESCRIPTION = """\
Grade servers: small ones in scripts/conformance_servers, and real services, each
started on a free port, checked by every rule that can be tried, and loaded. What is
not on this machine is skipped by name. A broken rule that has no explanation is an
error, and so is an explanation without a broken rule.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Grade what the arguments ask for; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/conformance",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="parts of the names of those to grade")
    parser.add_argument(
        "--install",
        action="store_true",
        help="install what is missing with apt-get; without it, say what is missing",
    )
    parser.add_argument(
        "--html", type=Path, metavar="FOLDER", help="write the evidence there, a page for each server"
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="write what was seen of the services into the guide, if all of it was expected",
    )
    parser.add_argument("--list", action="store_true", help="list names, and what each needs")
    options = parser.parse_args(arguments)
    chosen = _chosen(options.names, parser)
    if options.list:
        for each in chosen:
            needs = ", ".join(dict.fromkeys(need.how for need in each.needs))
            print(f"{each.name:20} {needs}".rstrip())
        return 0
    if options.install:
        install(need for each in chosen for need in each.missing)
    return _grade_all(chosen, options.html, writes_page=options.write)


def _chosen(names: Sequence[str], parser: argparse.ArgumentParser) -> list[Candidate]:
    candidates = (*OWN, *SERVICES)
    for name in names:
        if not any(name in each.name for each in candidates):
            parser.error(f"no server is called {name}; --list has their names")
    return [each for each in candidates if not names or any(name in each.name for name in names)]


def _grade_all(candidates: Sequence[Candidate], pages: Path | None, *, writes_page: bool) -> int:
    if pages is not None:
        pages.mkdir(parents=True, exist_ok=True)
    grades: dict[Candidate, Grade] = {}
    wrong: list[str] = []
    for candidate in candidates:
        if candidate.missing:
            how = ", ".join(dict.fromkeys(need.how for need in candidate.missing))
            _say(f"{candidate.name}: skipped, for it needs {how}")
            continue
        _say(f"{candidate.name} ...")
        try:
            with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
                grades[candidate] = grade(
                    candidate, Path(folder), None if pages is None else pages / f"{candidate.name}.html"
                )
        except GradingError as error:
            wrong.append(f"{candidate.name}: {error}")
        else:
            wrong += unexplained(candidate, grades[candidate])
    print("\n".join([*table(grades), "", LEGEND, "", *reasons(grades)]))
    for line in wrong:
        _say(line)
    if writes_page and not wrong:
        write_page({each: grades[each] for each in SERVICES if each in grades})
    return 1 if wrong else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
