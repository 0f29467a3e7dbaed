"""The options of ``trioecho proxy``, and the faults that they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..base.describe import describe
from ..base.listen_address import TcpAddress
from ..base.suggestion import quoted
from ..base.tls_files import TlsFilesError
from ..framing import FrameFormat
from ..limits import Limits
from ..proxy import (
    KINDS,
    MOST_PROXIES,
    WHEN_FULL,
    ConnectionLimits,
    Direction,
    FaultParameter,
    NamedFault,
    ProxyRequestError,
    ProxySettings,
    ProxyTls,
    TimedFileRecording,
    WireRecording,
    circle_in_words,
    circle_through,
    format_target,
    read_fault,
    read_proxy,
)
from ..proxy.fault_kinds import COALESCE_TIME, ON_FRAME, PROBABILITY
from .shared import values
from .shared.admin import add_admin_option
from .shared.exit_codes import ExitCode
from .shared.options import (
    add_format_option,
    add_listening_options,
    add_log_options,
    add_max_connections_option,
    add_seed_option,
)
from .shared.output import CommandError
from .shared.parser import Parser
from .shared.server_tls_options import add_tls_options, tls_of
from .shared.tls_options import add_client_tls_options, client_tls_of, context_of
from .shared.toml_file import TomlFileError, read_toml

# Before the names of options for TLS to the server: those for clients have none.
TARGET = "target-"
MAX_CONNECTIONS: int = Limits().max_connections
# What the proxy of the command line is called.
ONLY_NAME = "proxy"
# Options that a file of proxies has in its own words.
_OF_ONE = {"host", "port", "direction", *KINDS, COALESCE_TIME.word, ON_FRAME.word, PROBABILITY.word}


def add_proxy_options(parser: Parser) -> None:
    """Add the address, and all options."""
    add = parser.add_argument
    parser.add_argument(
        "address",
        type=values.address,
        metavar="HOST:PORT",
        nargs="?",
        help="where the server listens; or unix:/path. Not with --proxies; with --admin it may be left out",
    )
    add(
        "--proxies",
        metavar="FILE",
        help="run the proxies of this TOML file, each below [[proxy]]: name, target, listen, faults",
    )
    add_listening_options(parser, several=True)
    add_max_connections_option(parser, MAX_CONNECTIONS, remark="; 0 for no limit")
    add(
        "--when-full",
        type=values.one_of(*WHEN_FULL),
        metavar="{wait,reset}",
        default=WHEN_FULL[0],
        help="with --max-connections open, one more client waits in the kernel, or is reset (default: wait)",
    )
    add(
        "--total-connections",
        type=values.count,
        metavar="N",
        default=0,
        help="connections in all; every later one is reset (default: 0, no limit)",
    )
    add(
        "--direction",
        type=values.one_of("both", *(direction.value for direction in Direction)),
        metavar="{both,to-server,to-client}",
        default="both",
        help="which direction has the faults (default: %(default)s)",
    )
    add_seed_option(parser, "decides all random choices")
    add_format_option(parser, is_read=False)
    add(
        "--record-dir",
        metavar="FOLDER",
        help="keep what both sides send, before any fault, in a new folder: 1-to-server.frames and so on",
    )
    add(
        "--record",
        metavar="FILE",
        help="keep what both sides send, before any fault, and when, in a new file, for load --replay",
    )
    add(
        "--end-with-stdin",
        action="store_true",
        help="end when stdin ends, and so with the program that holds the other end of its pipe, however "
        "that ends",
    )
    add_admin_option(
        parser, "/metrics for Prometheus, /livez, /report and an API that changes proxies,", does="command it"
    )
    add_log_options(parser)
    add_tls_options(parser.add_argument_group("TLS to clients"))
    add_client_tls_options(parser.add_argument_group("TLS to the server"), TARGET)
    stream = parser.add_argument_group("faults of the stream")
    frames = parser.add_argument_group("faults of frames (one of them)")
    one_of = frames.add_mutually_exclusive_group()
    for kind in KINDS.values():
        if kind.frame_fault is not None:
            one_of.add_argument(
                f"--{kind.word}", dest="frame_fault", action="store_const", const=kind, help=kind.help
            )
            continue
        assert kind.read is not None  # noqa: S101 - for the type checker: each fault of a stream has a value
        _add_value(stream, kind.word, kind.metavar, kind.help, kind.read)
        if COALESCE_TIME.of(kind):
            _add_parameter(stream, COALESCE_TIME)
    for parameter in (ON_FRAME, PROBABILITY):
        _add_parameter(frames, parameter)


def _add_parameter(group: argparse._ActionsContainer, parameter: FaultParameter) -> None:
    _add_value(group, parameter.word, parameter.metavar, parameter.help, parameter.read)


def _add_value(
    group: argparse._ActionsContainer, word: str, metavar: str, text: str, read: Callable[[str], object]
) -> None:
    """Add an option whose text is kept, after it was read once: what is made of it reads it again."""

    @values.option_value
    def read_text(text: str) -> str:
        read(text)
        return text

    group.add_argument(f"--{word}", type=read_text, metavar=metavar, help=text)


def faults_of(arguments: argparse.Namespace) -> tuple[NamedFault, ...]:
    """Return the faults of the options, each with the name of its kind.

    Raises:
      CommandError: frames are chosen, and no fault for them.
    """
    chosen = {each.key: getattr(arguments, each.key) for each in (ON_FRAME, PROBABILITY)}
    if arguments.frame_fault is None and any(text is not None for text in chosen.values()):
        raise CommandError(
            ExitCode.WRONG_USAGE,
            "--on-frame and --probability choose frames; give a fault for them, as --corrupt",
        )
    written: list[dict[str, object]] = []
    for kind in KINDS.values():
        if kind is arguments.frame_fault:
            written.append({"fault": kind.word, **chosen})
        elif kind.read is not None and (value := getattr(arguments, kind.word.replace("-", "_"))) is not None:
            held = {COALESCE_TIME.key: arguments.coalesce_time} if COALESCE_TIME.of(kind) else {}
            written.append({"fault": kind.word, "value": value, **held})
    return tuple(read_fault({"direction": arguments.direction, **each}) for each in written)


def settings_of(arguments: argparse.Namespace, seed: int, tls: ProxyTls) -> ProxySettings:
    """Return the proxy that the options ask for.

    Raises:
      CommandError: frames are chosen, and no fault for them.
    """
    return ProxySettings(
        ONLY_NAME,
        arguments.address,
        TcpAddress(tuple(arguments.host or ("127.0.0.1",)), arguments.port),
        format=FrameFormat.parse(arguments.format),
        format_text=arguments.format,
        seed=seed,
        faults=faults_of(arguments),
        limits=client_limits_of(arguments),
        tls=tls,
    )


def client_limits_of(arguments: argparse.Namespace) -> ConnectionLimits:
    """Return how many clients a proxy takes, unless it says so itself."""
    return ConnectionLimits(arguments.max_connections, arguments.when_full, arguments.total_connections)


def settings_of_file(arguments: argparse.Namespace, seed: int, tls: ProxyTls) -> list[ProxySettings]:
    """Return the proxies of the file that ``--proxies`` names.

    Raises:
      CommandError: it cannot be read, or a proxy in it makes no sense.
    """
    path = arguments.proxies
    for name in sorted(arguments.given):
        if name in _OF_ONE:
            raise CommandError(
                ExitCode.WRONG_USAGE, f"--{name} is for one proxy; with --proxies, write it in {path}"
            )
    try:
        tables = read_toml(path, "--proxies")
    except TomlFileError as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from None
    for name in tables:
        if name != "proxy":
            raise CommandError(
                ExitCode.WRONG_USAGE, f"{path}: {quoted(name)} is not known; write tables [[proxy]]"
            )
    written = tables.get("proxy")
    if not isinstance(written, list) or not written:
        raise CommandError(ExitCode.WRONG_USAGE, f"{path} has no proxy; write each below [[proxy]]")
    if len(written) > MOST_PROXIES:
        raise CommandError(
            ExitCode.WRONG_USAGE, f"{path} has {len(written):,} proxies, and {MOST_PROXIES} are the most"
        )
    defaults = {"seed": seed, "format": arguments.format}
    found: dict[str, ProxySettings] = {}
    for number, table in enumerate(written, start=1):
        try:
            settings = read_proxy(table, defaults, limits=client_limits_of(arguments), tls=tls)
        except ProxyRequestError as error:
            raise CommandError(ExitCode.WRONG_USAGE, f"{path}: proxy {number}: {error}") from None
        if found.setdefault(settings.name, settings) is not settings:
            raise CommandError(
                ExitCode.WRONG_USAGE, f"{path}: two proxies are called {settings.name}; rename one of them"
            )
    return list(found.values())


def checked_circles(
    settings: list[ProxySettings], addresses: Iterable[Sequence[tuple[Any, ...]]] | None = None
) -> list[ProxySettings]:
    """Return the proxies, of which none leads back to itself.

    Args:
      settings: of the proxies.
      addresses: of the sockets of each, as ``getsockname`` gives them; none of one that does not listen.
        Before any listens, only what is written is known.

    Raises:
      CommandError: one does.
    """
    bound = [()] * len(settings) if addresses is None else addresses
    hops = [each.as_hop(own) for each, own in zip(settings, bound, strict=True)]
    for hop in hops:
        if names := circle_through(hop, [other for other in hops if other is not hop]):
            what = f"the target of {hop.name}: " if len(hops) > 1 else ""
            raise CommandError(
                ExitCode.WRONG_USAGE, f"{what}{format_target(hop.target)}: {circle_in_words(names)}"
            )
    return settings


def recording_of(
    arguments: argparse.Namespace, settings: ProxySettings
) -> WireRecording | TimedFileRecording | None:
    """Return what keeps the bytes of a proxy's connections; None if nothing does.

    Raises:
      CommandError: the folder, or the file, cannot be used.
    """
    if arguments.record is not None:
        return _timed_recording_of(arguments, settings)
    if arguments.record_dir is None:
        return None
    name = "" if settings.name == ONLY_NAME and arguments.proxies is None else settings.name
    try:
        return WireRecording(Path(arguments.record_dir, name))
    except (OSError, ValueError) as error:
        raise CommandError(
            ExitCode.WRONG_USAGE, f"cannot record in {quoted(arguments.record_dir)}: {describe(error)}"
        ) from None


def check_recording(arguments: argparse.Namespace) -> None:
    """Refuse options that contradict each other.

    Raises:
      CommandError: why.
    """
    if arguments.record is None:
        return
    if arguments.record_dir is not None:
        raise CommandError(ExitCode.WRONG_USAGE, "--record and --record-dir both keep what passes; give one")
    if arguments.address is None:
        raise CommandError(ExitCode.WRONG_USAGE, "--record is for one proxy; give HOST:PORT")


def _timed_recording_of(arguments: argparse.Namespace, settings: ProxySettings) -> TimedFileRecording:
    try:
        return TimedFileRecording(
            arguments.record, target=format_target(settings.target), format=settings.format_text
        )
    except (OSError, ValueError) as error:
        raise CommandError(
            ExitCode.WRONG_USAGE, f"cannot record in {quoted(arguments.record)}: {describe(error)}"
        ) from None


def tls_of_proxy(arguments: argparse.Namespace) -> ProxyTls:
    """Return where TLS ends and begins, and read its files.

    Raises:
      CommandError: a file cannot be used, or options do not fit.
    """
    files = tls_of(arguments)
    target = client_tls_of(arguments, prefix=TARGET)
    try:
        return ProxyTls(
            None if files is None else files.load(),
            None if target is None else context_of(target),
            None if target is None else target.servername,
        )
    except TlsFilesError as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from None
