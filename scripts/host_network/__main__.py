"""The command: reads its arguments, and makes, uses or removes the network."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
from types import FrameType

from .network import HOSTS, Network, NetworkError, Quality, explained


def _arguments() -> argparse.Namespace:
    hosts = "\n".join(f"  {host:10} {', '.join(addresses.values())}" for host, addresses in HOSTS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/network",
        description="A network of eight hosts on this machine, whose own is not changed. For root, on Linux.",
        epilog=f"hosts, each with a name and a network namespace of its own:\n{hosts}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--name", type=_name, default="trioecho", help="of the network, beside which others may be (trioecho)"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    up = commands.add_parser("up", help="make the network, if it is not there")
    run = commands.add_parser("run", help="run a command on a host")
    cut = commands.add_parser("cut", help="pull out the cables of a host, at the switch")
    join = commands.add_parser("join", help="plug them in again")
    tries = commands.add_parser("try", help="make the network, run a command beside it, remove the network")
    commands.add_parser("down", help="end what runs on the hosts, and remove the network")
    for each in (up, tries):
        each.add_argument(
            "--delay",
            default="",
            metavar="TIME",
            help="of all that a host sends, as 5ms; if the kernel has netem",
        )
        each.add_argument("--loss", default="", metavar="PERCENT", help="of the same, as 1%%; likewise")
    for each in (run, cut, join):
        each.add_argument("host", choices=HOSTS, metavar="HOST")
    for each in (run, tries):
        each.add_argument("words", nargs=argparse.REMAINDER, metavar="WORD", help="the command")
    arguments = parser.parse_args()
    if getattr(arguments, "words", None) == []:
        parser.error(f"{arguments.command} needs a command to run")
    return arguments


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,30}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name; write small letters, digits and -")
    return text


def main() -> int:
    arguments = _arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        with explained():
            return _carry_out(arguments, Network(arguments.name))
    except NetworkError as error:
        print(f"scripts/network: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)  # what was begun is undone on the way


def _carry_out(arguments: argparse.Namespace, network: Network) -> int:
    match arguments.command:
        case "up":
            _up(arguments, network)
        case "run":
            command = network.command(arguments.host, arguments.words)
            os.execvp(command[0], command)  # noqa: S606 - the command that was asked for, and no shell
        case "cut" | "join":
            network.set_link(arguments.host, up=arguments.command == "join")
        case "try":
            return _try(arguments, network)
        case "down":
            network.down()
    return 0


def _up(arguments: argparse.Namespace, network: Network) -> None:
    lacking = network.up(Quality(arguments.delay, arguments.loss))
    state = f"is up, {lacking}" if lacking else "is up"
    print(f"scripts/network: {arguments.name} {state}", file=sys.stderr, flush=True)


def _try(arguments: argparse.Namespace, network: Network) -> int:
    if network.is_up():
        raise NetworkError(f"{arguments.name} is up already, and try would remove it; give another --name")
    try:
        _up(arguments, network)
        return _run_beside(arguments.words)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # what follows takes some seconds at most
        network.down()


def _run_beside(words: list[str]) -> int:
    """Run a command to its end, whatever signal comes, and return its exit code."""
    try:
        with subprocess.Popen(words) as process:
            signal.signal(signal.SIGINT, lambda *_: None)  # a terminal sends it to the command, too
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda number, _: process.send_signal(number))
            code = process.wait()
    except OSError as error:
        raise NetworkError(f"{words[0]!r} cannot be started: {error.strerror}") from None
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
