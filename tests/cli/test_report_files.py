"""Files that reports go to: prepared before the run, each written by itself, whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.load_results import made_result
from tests.support.processes import run_command
from trioecho.cli import main
from trioecho.cli.shared.output import CommandError
from trioecho.cli.shared.report_files import ReportFiles
from trioecho.load import result_as_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="devices and links are those of POSIX")

NEEDS_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


def making(report: bytes) -> Callable[[], bytes]:
    return lambda: report


def failing() -> bytes:
    raise KeyError("nothing\x1b[2J")


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def refusal(**wanted: str) -> str:
    with pytest.raises(CommandError) as caught:
        ReportFiles(wanted, "trioecho load")
    assert caught.value.exit_code == 2
    return str(caught.value)


# ---- before the run ----


def test_preparing_leaves_nothing_and_changes_nothing(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("precious")
    ReportFiles({"json": str(old), "csv": str(tmp_path / "new")}, "trioecho load")
    assert names_in(tmp_path) == ["old"]
    assert old.read_text() == "precious"


def test_the_same_file_by_two_names(tmp_path: Path) -> None:
    file, link, hard = tmp_path / "a", tmp_path / "link", tmp_path / "hard"
    link.symlink_to(file)
    for one, other in (("a", "a"), ("a", "link"), ("a", "../" + tmp_path.name + "/a")):  # none there yet
        assert "cannot take two reports" in refusal(json=f"{tmp_path}/{one}", csv=f"{tmp_path}/{other}")
    file.touch()
    hard.hardlink_to(file)
    for name in map(str, (file, link, hard)):
        message = refusal(json=str(file), csv=name)
        assert message.endswith("cannot take two reports; give each a file of its own")
        assert name in message
    ReportFiles(
        {"json": str(file), "csv": str(tmp_path / "b"), "hgrm": os.devnull, "html": os.devnull},
        "trioecho load",
    )


def test_an_input_takes_no_report(tmp_path: Path) -> None:
    file, link = tmp_path / "a", tmp_path / "link"
    file.write_text("precious")
    link.symlink_to(file)
    for name, read, shown in (
        (file, file, f"{file} is"),
        (link, file, f"{file} and {link} are the same file,"),
    ):
        with pytest.raises(CommandError) as caught:
            ReportFiles({"json": str(name)}, "trioecho load", [None, "", str(tmp_path / "gone"), str(read)])
        assert str(caught.value).startswith(shown)
        assert caught.value.exit_code == 2
    # What is no file is not replaced.
    ReportFiles({"json": os.devnull, "csv": str(tmp_path / "b")}, "trioecho load", [os.devnull, str(file)])
    assert file.read_text() == "precious"


@pytest.mark.parametrize(
    "words",
    [
        *(("load", "127.0.0.1:1", option, "w.jsonl", report, "w.jsonl")
          for option in ("--messages", "--first-message") for report in ("--json", "--record")),
        *(("check", "127.0.0.1:1", "--ask", asked, *more, report, "w.jsonl")
          for asked, more in (
              ("w.jsonl", ()),
              ("other.jsonl", ("--expect", "w.jsonl")),
              ("other.jsonl", ("--first-message", "w.jsonl")),
          ) for report in ("--json", "--junit")),
        ("formats", "--of", "w.jsonl", "--json", "w.jsonl"),
    ],
)  # fmt: skip
def test_every_command_keeps_what_it_reads(
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("w.jsonl", "other.jsonl"):
        (tmp_path / name).write_text('"hello"\n')
    code = main(words)
    captured = capsys.readouterr()
    assert (code, captured.out, captured.err) == (
        2,
        "",
        f"trioecho {words[0]}: w.jsonl is read and cannot take a report; give that a file of its own\n",
    )
    assert (tmp_path / "w.jsonl").read_text() == '"hello"\n'


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no/file", "No such file or directory"),
        (".", "Is a directory"),
        ("x" * 300, "File name too long"),
        ("file/below", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
    ],
)
def test_a_path_that_cannot_be_written(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert refusal(json=str(tmp_path / "kept"), csv=str(tmp_path / name)).endswith(f": {reason}")
    assert names_in(tmp_path) == ["file", "loop"]


def test_a_name_that_is_no_text_is_shown_with_escapes(tmp_path: Path) -> None:
    assert r"no/\xff\x1b[2J: No such file" in refusal(json=f"{tmp_path}/no/\udcff\x1b[2J")


# ---- after it ----


def test_a_file_is_replaced_whole_with_its_mode_and_where_a_link_points(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    file, link = tmp_path / "there" / "a", tmp_path / "link"
    file.write_text("a longer text than the new one")
    file.chmod(0o640)
    link.symlink_to(file)
    before = file.stat().st_ino
    assert ReportFiles({"json": str(link)}, "trioecho load").write({"json": making(b"new")}, is_quiet=True)
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", 0o640)
    assert link.is_symlink()
    assert file.stat().st_ino != before
    assert names_in(tmp_path / "there") == ["a"]


def test_one_that_fails_costs_only_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIOECHO_DEBUG", raising=False)
    a, b, gone = tmp_path / "a", tmp_path / "b", tmp_path / "gone"
    gone.mkdir()
    a.write_text("precious")
    files = ReportFiles({"html": str(a), "csv": str(gone / "c"), "json": str(b)}, "trioecho load")
    gone.rmdir()
    went_well = files.write({"html": failing, "csv": making(b"1"), "json": making(b"{}")})
    assert not went_well
    assert a.read_text() == "precious"
    assert b.read_bytes() == b"{}"
    captured = capsys.readouterr()
    assert captured.out == f"wrote {b}\n"
    made, written = captured.err.splitlines()
    assert made.startswith(f"trioecho load: cannot make {a}: KeyError: 'nothing")
    assert written == f"trioecho load: cannot write {gone}/c: No such file or directory"


def test_the_traceback_that_was_asked_for_costs_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIOECHO_DEBUG", "1")
    files = ReportFiles({"html": str(tmp_path / "a"), "json": str(tmp_path / "b")}, "trioecho load")
    assert not files.write({"html": failing, "json": making(b"{}")})
    assert (tmp_path / "b").read_bytes() == b"{}"
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith(f"trioecho load: cannot make {tmp_path}/a: KeyError: ")


def test_a_disk_that_fills_up_leaves_the_old_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = tmp_path / "a"
    file.write_text("precious")
    files = ReportFiles({"json": str(file)}, "trioecho load")
    monkeypatch.setattr(os, "fsync", fill_up)
    assert not files.write({"json": making(b"half of it")})
    assert capsys.readouterr().err == f"trioecho load: cannot write {file}: No space left on device\n"
    assert (file.read_text(), names_in(tmp_path)) == ("precious", ["a"])


def test_a_file_whose_directory_takes_no_other_is_written_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a directory of somebody else; root may write everywhere, so the refusal is made here."""
    file = tmp_path / "a"
    file.write_text("old")
    monkeypatch.setattr(
        "trioecho.cli.shared.report_files._File._name_beside", lambda self: tmp_path / "no" / "b"
    )
    assert ReportFiles({"json": str(file)}, "trioecho load").write({"json": making(b"new")}, is_quiet=True)
    assert file.read_bytes() == b"new"
    assert "No such file" in refusal(json=str(tmp_path / "c"))


def test_a_file_that_is_mounted_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    file = tmp_path / "a"
    file.write_text("old")
    monkeypatch.setattr(Path, "replace", refuse)
    assert ReportFiles({"json": str(file)}, "trioecho load").write({"json": making(b"new")}, is_quiet=True)
    assert (file.read_bytes(), names_in(tmp_path)) == (b"new", ["a"])


# ---- whole commands ----


@pytest.fixture(scope="module")
def result_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("kept") / "r.json"
    file.write_text(result_as_json(made_result(seconds=2, rate=20)))
    return str(file)


def merged(result_file: str, *words: str, redirect: str = "", **env: str) -> tuple[int, str, str]:
    """``report merge`` of one file, by a shell that closes or redirects what the test says."""
    command = f'exec "$@" {redirect}'
    done = run_command("report", "merge", result_file, *words, env=env, prefix=("sh", "-c", command, "sh"))
    return done.returncode, done.stdout, done.stderr


@NEEDS_FULL
def test_a_device_is_not_replaced_and_others_are_written(result_file: str, tmp_path: Path) -> None:
    code, out, err = merged(result_file, "--csv", "/dev/full", "--json", str(tmp_path / "a"))
    assert (code, err) == (1, "trioecho report merge: cannot write /dev/full: No space left on device\n")
    assert out.endswith(f"wrote {tmp_path}/a\n")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "-"])
def test_stdout_by_every_name_has_the_report_alone(result_file: str, name: str) -> None:
    code, out, err = merged(result_file, "--csv", name)
    assert code == 0
    assert out.startswith("t_s,")
    assert "came back right" in err
    assert "came back right" not in out


def test_a_file_that_is_stdout_has_the_report_alone(result_file: str, tmp_path: Path) -> None:
    file = tmp_path / "a"
    code, out, err = merged(result_file, "--csv", str(file), redirect=f">{file}")
    assert (code, out) == (0, "")
    assert "came back right" in err
    assert file.read_text().startswith("t_s,")


def test_a_closed_stdout_or_stderr(result_file: str, tmp_path: Path) -> None:
    file = tmp_path / "a"
    assert merged(result_file, "--csv", str(file), redirect=">&-") == (0, "", "")
    assert file.read_text().startswith("t_s,")
    code, out, err = merged(result_file, "--csv", str(file), redirect="2>&-")
    assert (code, err) == (0, "")
    assert "came back right" in out
    assert merged(result_file, "--csv", str(file), redirect=">&- 2>&- <&-") == (0, "", "")
    assert file.read_text().startswith("t_s,")
    code, _, err = merged(result_file, "--csv", "-", redirect=">&-")
    assert (code, err) == (2, "trioecho report merge: cannot write -: stdout is closed\n")


def test_a_name_that_is_no_text_and_a_home_that_is_not_there(result_file: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="--html needs it")
    names = [os.fsdecode(os.fsencode(tmp_path) + b"/\xff." + kind.encode()) for kind in ("html", "json")]
    code, out, err = merged(
        result_file, "--html", names[0], "--json", names[1],
        HOME="/proc", XDG_CACHE_HOME="/proc", XDG_CONFIG_HOME="/proc", PYTHONIOENCODING="ascii",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert out.endswith(f"wrote {tmp_path}/\\xff.json, {tmp_path}/\\xff.html\n")
    assert names_in(tmp_path) == ["\udcff.html", "\udcff.json"]
