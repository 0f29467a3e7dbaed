"""What the options of a log ask for, and what the log does for them."""

from __future__ import annotations

import argparse
import json
import logging

import pytest

from tests.support.pipe import Pipe
from trioecho.cli.shared.log import LogSettings, NonBlockingLogHandler, open_log_writer
from trioecho.cli.shared.options import add_log_options, log_settings


def settings(*arguments: str) -> LogSettings:
    parser = argparse.ArgumentParser()
    add_log_options(parser)
    return log_settings(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], LogSettings(logging.INFO)),
        (["-q"], LogSettings(logging.WARNING)),
        (["--quiet"], LogSettings(logging.WARNING)),
        (["-q", "--log-level", "error"], LogSettings(logging.ERROR)),
        (["--log-level", "warning"], LogSettings(logging.WARNING)),
        (["--log-level", "error", "--log-format", "json"], LogSettings(logging.ERROR, is_json=True)),
    ],
)
def test_options(arguments: list[str], expected: LogSettings) -> None:
    assert settings(*arguments) == expected


@pytest.mark.parametrize("is_json", [False, True])
def test_what_is_less_than_the_level_is_left_out_also_from_another_process(is_json: bool) -> None:
    logger = logging.Logger("alone")
    with Pipe() as pipe:
        logger.addHandler(NonBlockingLogHandler(pipe.writer, LogSettings(logging.WARNING, is_json=is_json)))
        for level in (logging.INFO, logging.WARNING, logging.ERROR):
            logger.log(level, "ours %d", level)
            record = {"levelno": level, "levelname": logging.getLevelName(level), "msg": f"its {level}"}
            logger.handle(logging.makeLogRecord(record))
        lines = pipe.read_all()[:-1]
    said = [json.loads(line)["message"] if is_json else line.rpartition(": ")[2] for line in lines]
    assert said == ["ours 30", "its 30", "ours 40", "its 40"]


def test_a_line_for_programs_is_one_line_and_harmless() -> None:
    with Pipe() as pipe:
        NonBlockingLogHandler(pipe.writer, LogSettings(is_json=True)).emit(
            logging.makeLogRecord({"levelname": "INFO", "msg": "\x1b[2J\nlistening \udcff"})
        )
        [line, end] = pipe.read_all()
    assert (end, line.isprintable()) == ("", True)
    assert json.loads(line)["message"] == "\x1b[2J\nlistening \udcff"


def test_what_a_slow_reader_of_a_log_for_programs_missed_is_an_object_too() -> None:
    line = json.dumps({"message": "x" * 1000})
    with Pipe() as pipe:
        writer = open_log_writer(pipe.stream, LogSettings(is_json=True))
        for _ in range(5000):
            writer.write_line(line)
        text = ""
        while writer.is_waiting:
            text += "\n".join(pipe.read_all())
            writer.flush(0)
        text += "\n".join(pipe.read_all())
    read = [json.loads(each) for each in text.splitlines()]
    [note] = [each for each in read if "message" not in each]
    assert note == {"log_lines_left_out": 5001 - len(read), "reason": "nobody read them"}
