"""Points and feedback: fair, complete, and ready to hand back."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from tests.support.check_results import good_suite, hostile_suite, mixed_suite, result_of, suite
from trioecho.check.book.book import RULES, Heading, Level
from trioecho.check.diagnosis.causes import CAUSES
from trioecho.check.output import EQUAL_POINTS, Untested, grade, rubric_as_csv, rubric_as_text
from trioecho.check.output.rubric import Grade, HeadingGrade
from trioecho.check.verdict import CaseResult, Verdict

UNTESTED = Untested("python a.py", "it ended before it listened")


def heading(of: Grade, which: Heading) -> HeadingGrade:
    return next(grade for grade in of.headings if grade.heading is which)


def robustness(*results: CaseResult) -> HeadingGrade:
    return heading(grade(suite(results)), Heading.ROBUSTNESS)


def test_a_server_without_a_fault_has_all_points_that_can_be_judged() -> None:
    graded = grade(good_suite())
    assert [each.heading for each in graded.headings] == list(Heading)
    assert [each.points for each in graded.headings] == [25, 25, 25, None]
    assert (graded.points, graded.out_of, graded.left_to_teacher) == (75, 75, 25)


def test_how_clear_the_analysis_is_is_left_to_the_teacher() -> None:
    for server in (good_suite(), mixed_suite()):
        analysis = heading(grade(server), Heading.ANALYSIS)
        assert analysis.points is None
        assert "cannot be seen from outside" in analysis.feedback[0]
    assert CAUSES["one-parse-per-recv"].words in heading(grade(mixed_suite()), Heading.ANALYSIS).feedback[1]


@pytest.mark.parametrize("case_id", sorted(set(RULES) - {"1.2"}))
def test_every_rule_counts_under_its_heading_and_no_other(case_id: str) -> None:
    whole = suite(tuple(result_of(rule_id) for rule_id in RULES))
    results = tuple(
        result_of(case_id, Verdict.FAIL) if result.id == case_id else result for result in whole.results
    )
    for each in grade(replace(whole, results=results)).headings:
        if each.points is not None:
            assert (each.points < each.out_of) is (each.heading is RULES[case_id].heading)


def test_points_are_the_part_that_held_rounded_down_to_a_half() -> None:
    held = [result_of(case_id) for case_id in ("2.1", "2.2")]
    assert robustness(*held).points == 25
    assert robustness(*held, result_of("2.6", Verdict.FAIL)).points == 16.5  # of 16.67
    assert robustness(*held, result_of("2.5", Verdict.WARN)).points == 20.5  # of 20.83
    assert robustness(result_of("2.6", Verdict.FAIL)).points == 0


def test_a_core_rule_that_is_broken_leaves_half_of_the_points_and_several_a_quarter() -> None:
    held = [result_of(rule_id) for rule_id in RULES if rule_id[0] == "2" and rule_id not in ("2.4", "2.5")]
    one = robustness(*held, result_of("2.4"), result_of("2.5", Verdict.FAIL))
    assert one.points == 12.5  # and not 22 of 25
    assert one.feedback[-1] == (
        "At most half of the points, for a core rule is broken: 2.5 (two frames in one segment)."
    )
    several = robustness(*held, result_of("2.4", Verdict.FAIL), result_of("2.5", Verdict.FAIL))
    assert several.points == 6  # of 6.25
    assert several.feedback[-1].startswith("At most a quarter of the points")


def test_every_heading_that_has_rules_has_core_rules_at_must() -> None:
    core = [rule for rule in RULES.values() if rule.is_core]
    assert {rule.heading for rule in core} == set(Heading) - {Heading.ANALYSIS}
    assert {rule.level for rule in core} == {Level.MUST}


def test_who_does_not_echo_a_byte_has_no_points_under_any_heading() -> None:
    results = tuple(
        result_of(rule_id, Verdict.FAIL if rule_id == "1.2" else Verdict.PASS) for rule_id in RULES
    )
    graded = grade(suite(results))
    assert [each.points for each in graded.headings] == [0, 0, 0, None]
    assert "No points without 1.2 (a frame of one byte)." in heading(graded, Heading.EDGE_CASES).feedback


def test_who_only_replies_wrongly_has_no_points_for_that_and_is_judged_no_further() -> None:
    failed = replace(result_of("1.2", Verdict.FAIL), cause=CAUSES["bytes-added"])
    untried = tuple(
        result_of(rule_id, Verdict.INCONCLUSIVE) if rule_id != "1.2" else failed for rule_id in RULES
    )
    assert [each.points for each in grade(suite(untried)).headings] == [0, None, None, None]
    nothing = replace(failed, cause=CAUSES["never-answers"])
    nothing_works = (nothing, *(each for each in untried if each.id != "1.2"))
    assert [each.points for each in grade(suite(nothing_works)).headings] == [0, 0, 0, None]


def test_a_heading_with_a_broken_core_rule_is_judged_though_little_else_was_decided() -> None:
    unsure = [result_of(each, Verdict.INCONCLUSIVE) for each in ("1.3", "1.4", "1.5")]
    broken = [result_of("1.2"), result_of("1.8", Verdict.FAIL)]
    assert heading(grade(suite((*broken, *unsure))), Heading.CORRECTNESS).points == 12.5


def test_without_framing_there_is_a_quarter_under_each_heading() -> None:
    broken = replace(result_of("1.12", Verdict.FAIL), cause=CAUSES["no-framing"])
    results = tuple(broken if rule_id == "1.12" else result_of(rule_id) for rule_id in RULES)
    graded = grade(suite(results))
    assert [each.points for each in graded.headings] == [6, 6, 6, None]
    assert "without framing: 1.12" in heading(graded, Heading.ROBUSTNESS).feedback[-1]
    reads = replace(broken, cause=CAUSES["streams-before-complete"])
    results = tuple(reads if rule_id == "1.12" else result_of(rule_id) for rule_id in RULES)
    assert [each.points for each in grade(suite(results)).headings] == [12.5, 25, 25, None]


def test_a_heading_of_which_little_was_decided_is_left_to_the_teacher() -> None:
    results = [result_of("2.1"), *(result_of(each, Verdict.INCONCLUSIVE) for each in ("2.2", "2.3"))]
    graded = robustness(*results)
    assert graded.points is None
    assert "left to the teacher" in graded.feedback[-1]
    assert robustness(*results, result_of("2.4")).points == 25


def test_what_was_not_tried_or_is_unsure_counts_neither_way() -> None:
    for verdict in (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE):
        assert robustness(result_of("2.1"), result_of("2.5", verdict)).points == 25
        alone = robustness(result_of("2.5", verdict))
        assert alone.points is None
        assert alone.feedback[0] == "None of its rules was tried."
    unsure = robustness(result_of("2.1"), result_of("2.5", Verdict.INCONCLUSIVE))
    assert "No verdict, and not counted: 2.5 (two frames in one segment)." in unsure.feedback


def test_a_cause_is_explained_once_with_all_that_it_breaks() -> None:
    graded = grade(mixed_suite())
    cause = CAUSES["one-parse-per-recv"]
    assert (
        f"{cause.words} {cause.advice} It shows in 2.5 (two frames in one segment) and "
        "2.6 (thousands of frames in one piece)." in heading(graded, Heading.ROBUSTNESS).feedback
    )
    assert (
        f"As above: {cause.words} It shows in 1.1 (a frame without payload)."
        in heading(graded, Heading.EDGE_CASES).feedback
    )
    assert rubric_as_text([graded]).replace("\n  ", " ").count(cause.advice) == 1


def test_a_failure_without_a_known_cause_says_what_was_seen() -> None:
    failed = replace(result_of("2.5", Verdict.FAIL), cause=None, summary="the second echo is missing")
    assert "2.5 (two frames in one segment): the second echo is missing." in robustness(failed).feedback


def test_it_says_how_a_failure_can_be_seen() -> None:
    command = "trioecho check 127.0.0.1:26066 2.5 --seed 7"
    graded = grade(mixed_suite())
    assert heading(graded, Heading.ROBUSTNESS).reproduce == command
    assert heading(graded, Heading.CORRECTNESS).reproduce == ""
    assert f"  To see it:\n    {command}\n" in rubric_as_text([graded])
    assert f"To see it: {command}" in rubric_as_csv([graded])


def test_what_several_cases_saw_alike_is_said_once() -> None:
    warned = [replace(result_of(case_id, Verdict.WARN), summary="4 bytes came") for case_id in ("4.2", "4.7")]
    feedback = heading(grade(suite(tuple(warned))), Heading.EDGE_CASES).feedback
    assert feedback[1:] == (
        "Worth a look: 4.2 (refused without its payload) and 4.7 (refused with FIN, not with RST): "
        "4 bytes came.",
    )


def test_rules_that_need_spawn_are_explained() -> None:
    [remark, _] = grade(good_suite()).remarks
    assert remark.startswith("8 rules can be tried only on a server that is started by --spawn")


def test_a_run_of_some_rules_only_says_so() -> None:
    remarks = grade(suite((result_of("2.5"),))).remarks
    assert remarks[0] == f"Only 1 of the book's {len(RULES)} rules were asked for."


def test_headings_may_be_worth_what_the_course_says() -> None:
    points = dict(zip(Heading, (40, 30, 20, 10), strict=True))
    graded = grade(good_suite(), points)
    assert [each.points for each in graded.headings] == [40, 30, 20, None]
    assert (graded.out_of, graded.left_to_teacher) == (90, 10)


def test_one_server_gives_a_sheet_that_fits_a_terminal() -> None:
    text = rubric_as_text([grade(mixed_suite())])
    assert text.startswith("Grade of 127.0.0.1:26066\n====")
    assert max(map(len, text.splitlines())) < 80
    for line in (
        "Correctness                  23.5/25",
        "Framing robustness           12.5/25",
        "Edge cases                   12.5/25",
        "Clear analysis                  -/25",
        "Sum                          48.5/75, and up to 25 for the teacher to give",
    ):
        assert line in text.splitlines()


def test_several_servers_give_a_table_first() -> None:
    long_name = "python students/a-name-that-is-very-long/server.py {port}"
    text = rubric_as_text([grade(good_suite()), grade(mixed_suite(target=long_name)), grade(UNTESTED)])
    assert text.splitlines()[:6] == [
        "server                           correct   robust    edges analysis         sum",
        "-" * 79,
        "127.0.0.1:26066                    25/25    25/25    25/25     -/25       75/75",
        long_name,
        "                                 23.5/25  12.5/25  12.5/25     -/25     48.5/75",
        "python a.py                         -/25     -/25     -/25     -/25           -",
    ]
    assert text.count("Grade of ") == 3
    assert "The server could not be tested: it ended before it listened" in text


def test_a_spreadsheet_has_a_row_for_each_server() -> None:
    text = rubric_as_csv([grade(good_suite()), grade(mixed_suite()), grade(UNTESTED)])
    good, mixed, untested = csv.DictReader(io.StringIO(text, newline=""))
    assert (good["server"], good["points"], good["out of"]) == ("127.0.0.1:26066", "75", "75")
    assert [mixed[each.value] for each in Heading] == ["23.5", "12.5", "12.5", ""]
    assert [mixed[f"{each.value} out of"] for each in Heading] == ["25"] * 4
    assert mixed["feedback: framing robustness"].startswith("Rules tried: 11; held: 9. Replies stop")
    assert mixed["likely causes"] == "one-parse-per-recv"
    assert (untested["points"], untested["correctness"]) == ("", "")
    assert "it ended before it listened" in untested["remarks"]


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@sum", "\t=1"])
def test_no_cell_is_a_formula(name: str) -> None:
    text = rubric_as_csv([grade(mixed_suite(target=name)), grade(Untested(name, name))])
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_hostile_bytes_do_no_harm() -> None:
    graded = [grade(hostile_suite()), grade(Untested("\x1b[2J", "\ud800\r"))]
    for text in (rubric_as_text(graded), rubric_as_csv(graded).replace("\r\n", "\n")):
        text.encode()
        assert all(character.isprintable() or character == "\n" for character in text)


def test_the_points_add_up_to_a_hundred() -> None:
    assert sum(EQUAL_POINTS.values()) == 100


@pytest.mark.parametrize(
    ("notes", "told"),
    [
        (("ended with exit code 1", "the server wrote: KeyError: 7"), ["The server wrote: KeyError: 7."]),
        (
            ("ended with exit code 2", "the server wrote: panic: EOF", "the server wrote: main.go:8 +0x15d"),
            ["The server wrote: panic: EOF."],
        ),
        (("ended with exit code 3", "the server wrote: bye"), ["The server wrote: bye."]),
        ((), []),
    ],
)
def test_a_crash_is_told_with_what_the_server_wrote_of_it(notes: tuple[str, ...], told: list[str]) -> None:
    crashed = replace(result_of("2.6", Verdict.FAIL), cause=CAUSES["crashes"], notes=notes)
    assert list(robustness(crashed).feedback[2:]) == told
