"""What the suite found, as files for programs and pages for people.

Every function here makes text of results and does nothing else. All of it holds
whatever a hostile server has sent: no byte of it ends up as markup, or as a
character that the format cannot have.
"""

from .as_html import results_as_html
from .as_json import results_as_json
from .as_junit import results_as_junit
from .class_table import class_table_lines
from .html_index import results_as_pages
from .rubric import EQUAL_POINTS, grade
from .rubric_text import rubric_as_csv, rubric_as_text
from .tested import Tested, Untested, outcome_of, outcome_of_all

__all__ = [
    "EQUAL_POINTS",
    "Tested",
    "Untested",
    "class_table_lines",
    "grade",
    "outcome_of",
    "outcome_of_all",
    "results_as_html",
    "results_as_json",
    "results_as_junit",
    "results_as_pages",
    "rubric_as_csv",
    "rubric_as_text",
]
