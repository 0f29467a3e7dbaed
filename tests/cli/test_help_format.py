"""The layout of help: an entry of a table is filled, however its source is broken into lines."""

from __future__ import annotations

import argparse

import pytest

from trioecho.cli.shared.help_format import HelpFormatter

TABLE = """\
exit codes:
  1   errors that no objective allows, every connection was lost before the end,
      or a file could not be written
  99  an objective was broken

examples:
  trioecho load 127.0.0.1:26066
"""


@pytest.mark.parametrize(
    ("columns", "entry"),
    [
        (
            50,
            """\
  1   errors that no objective allows, every
      connection was lost before the end, or a
      file could not be written
""",
        ),
        (
            120,
            "  1   errors that no objective allows, every connection was lost before the end, or a file "
            "could not be written\n",
        ),
    ],
)
def test_an_entry_of_several_lines_is_filled(
    columns: int, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trioecho.cli.shared.help_format.text_width", lambda: columns)
    text = argparse.ArgumentParser(prog="p", epilog=TABLE, formatter_class=HelpFormatter).format_help()
    assert text.endswith(
        f"exit codes:\n{entry}  99  an objective was broken\n\nexamples:\n  trioecho load 127.0.0.1:26066\n"
    )
