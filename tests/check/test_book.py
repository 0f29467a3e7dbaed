"""The rule book, the cases and the causes fit together, and stand apart from the rest of the project."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import trioecho.check
from trioecho.check.book.book import RULES, SERVERS, Book, Rule, rule_of, select
from trioecho.check.cases import CASES
from trioecho.check.cases.registry import case
from trioecho.check.clients.book import CLIENT_CASES, CLIENTS
from trioecho.check.diagnosis.causes import CAUSES

ROOM = Path(trioecho.check.__file__).parent
MODULES = sorted(ROOM.rglob("*.py"))


@pytest.mark.parametrize("book", [SERVERS, CLIENTS], ids=lambda book: book.noun)
def test_rules_are_numbered_through(book: Book) -> None:
    assert [section.number for section in book.sections] == list(range(1, len(book.sections) + 1))
    for section in book.sections:
        assert [rule.id for rule in section.rules] == [
            f"{section.id}.{number}" for number in range(1, len(section.rules) + 1)
        ]
        assert {(rule.section, rule.section_id) for rule in section.rules} == {(section.number, section.id)}
    assert list(book.rules.values()) == [rule for section in book.sections for rule in section.rules]
    assert book.simplest in book.rules


@pytest.mark.parametrize("rule", [*RULES.values(), *CLIENTS.rules.values()], ids=lambda rule: rule.id)
def test_a_rule_says_what_why_and_who(rule: Rule) -> None:
    for words in (rule.title, rule.requirement, rule.reason, rule.source):
        assert words == words.strip()
        assert words
    assert rule.requirement.endswith(".")
    assert rule.reason.endswith(".")
    assert len(rule.title) <= 50


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    assert set(CASES) == set(RULES)
    assert set(CLIENT_CASES) == set(CLIENTS.rules)


def test_a_rule_has_one_case() -> None:
    with pytest.raises(ValueError, match="has a case already"):
        case("1.1")(CASES["1.1"].run)
    with pytest.raises(KeyError):
        case("9.9")


def test_rules_are_selected_by_id_and_section_in_the_books_order() -> None:
    assert [rule.id for rule in select(["6", "1.2", "1.10", "1.2"])] == [
        "1.2",
        "1.10",
        *[f"6.{number}" for number in range(1, 6)],
    ]
    assert select([]) == list(RULES.values())
    assert rule_of("2.3").section == 2
    for unknown in ("9", "1.99", "", "1.", "one", "C1"):
        with pytest.raises(KeyError):
            select([unknown])
    assert [rule.id for rule in CLIENTS.select(["C5", "C1.2"])][:2] == ["C1.2", "C5.1"]


def strings_named_cause_id(path: Path) -> set[str]:
    """What a module gives as ``cause_id=...``, or returns from a function that finds causes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        values: list[ast.expr] = []
        if (isinstance(node, ast.keyword) and node.arg == "cause_id") or (
            isinstance(node, ast.Assign) and "cause_id" in ast.unparse(node.targets[0])
        ):
            values = [node.value]
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("_cause_"):
            values = [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value]
        for value in values:
            candidates = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            if isinstance(value, ast.BoolOp):
                candidates = value.values
            found |= {
                each.value
                for each in candidates
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            }
    return found


def test_every_cause_that_is_named_is_explained() -> None:
    named = set().union(*map(strings_named_cause_id, MODULES))
    assert len(named) > 30
    assert named <= set(CAUSES)


def test_causes_have_words_and_advice() -> None:
    for cause_id, cause in CAUSES.items():
        assert cause.id == cause_id
        assert cause.words.endswith(".")
        assert cause.advice.endswith(".")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOM)))
def test_the_suite_shares_nothing_with_the_service(path: Path) -> None:
    depth = len(path.relative_to(ROOM).parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            # What knows nothing of frames may be shared.
            is_base = node.level == depth + 1 and (node.module or "").split(".")[0] == "base"
            assert node.level <= depth or is_base, ast.unparse(node)
            assert not (node.module or "").startswith("trioecho")
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("trioecho") for alias in node.names)
