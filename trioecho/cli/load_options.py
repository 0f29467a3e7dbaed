"""The options of ``trioecho load``, and the plan that they make."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..base.processors import count_processors
from ..base.quantities import in_bytes, in_full, plural
from ..load import LoadPlan, RecordedTraffic, Sizes
from ..load.engine.payloads import needed_memory
from ..load.goals.objectives import Objective
from ..load.message_list import GivenMessages
from . import load_values
from .load_cluster import add_load_cluster_options, cluster_of
from .load_connections import add_connection_options, churn_of
from .load_files import add_file_options
from .load_messages import add_message_options, messages_of, traits_of
from .load_record import add_record_option, check_record
from .load_replay import add_replay_options, replay_of
from .load_schedule import add_schedule_option, contradictions, refuse_unknown_stages
from .load_sockets import add_socket_options, sockets_of
from .server_metrics import add_server_metrics_option, server_metrics_of
from .shared import values
from .shared.admin import AdminAddress, add_admin_option, admin_of
from .shared.cluster_options import ClusterRequest
from .shared.exit_codes import ExitCode
from .shared.options import add_address, add_format_option, add_seed_option, add_workers_option, chosen_seed
from .shared.output import CommandError
from .shared.parser import Parser
from .shared.tls_options import add_client_tls_options, client_tls_of, context_of

_OPEN_LOOP_S = 10.0
_TRIAL_S = 5.0
_TRIAL_WARMUP_S = 1.0
_FIRST_RATE = 1000.0
# A shorter trial is over before the server's queues show whether it keeps up.
_MIN_TRIAL_S = 1.0


@dataclass(frozen=True)
class LoadRequest:
    """The load that a command line asks for.

    Attributes:
      plan: of the run, or of the first trial of a search.
      given: the messages that are the user's own.
      objectives: to be judged, in the order in which they were given.
      start_rate: messages/s of a search's first trial; None for one run.
      record: the file that is to have what is sent; None for none.
      cluster: on which it runs; None for this machine.
      admin: where the load shows itself as it runs; None for nowhere.
      server_metrics: the URL of the server's own metrics, for that page; None if they are not wanted.
      recorded: the messages of a recording that the plan replays; None for any other plan.
    """

    plan: LoadPlan
    given: GivenMessages
    objectives: Sequence[Objective]
    start_rate: float | None
    record: str | None = None
    cluster: ClusterRequest | None = None
    admin: AdminAddress | None = None
    server_metrics: str | None = None
    recorded: RecordedTraffic | None = None


def add_load_options(parser: Parser) -> None:
    """Add the address, and every option, in groups."""
    add_address(parser)
    _add_amount(parser.add_argument_group("how much"))
    sent = parser.add_argument_group("what is sent, and what has to come")
    add_message_options(sent)
    add_replay_options(sent)
    _add_pace(parser.add_argument_group("how fast"))
    add_connection_options(parser.add_argument_group("how connections come and go"))
    add_socket_options(
        parser.add_argument_group("what its sockets are", "By iperf's names; every report has them.")
    )
    add_load_cluster_options(parser.add_argument_group("where it comes from"))
    _add_tls(parser.add_argument_group("under TLS"))
    _add_objectives(parser.add_argument_group("what has to hold"))
    add_file_options(parser)
    add_record_option(parser.add_argument_group("what is recorded"))
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no progress and no summary: only files, and errors"
    )
    add_admin_option(parser, "a page to watch the load, /metrics for Prometheus, /livez and /report,")
    add_server_metrics_option(parser)


def _add_amount(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "-c",
        "--connections",
        type=values.positive_count,
        metavar="N",
        default=5,
        help="connections at a time (default: %(default)s)",
    )
    add(
        "-n",
        type=values.positive_count,
        dest="messages",
        metavar="N",
        help="messages on each connection (default: 200; 5 connections x 200 = 1,000 messages)",
    )
    add("--duration", type=values.seconds, metavar="TIME", help="instead, how long to run (with --rate: 10s)")
    add(
        "--size",
        type=load_values.sizes,
        metavar="SIZE",
        help="of payloads: 64, 64-4096, or several with weights as 64:9,64KiB:1 (default: 64)",
    )
    add_format_option(group)
    add_seed_option(group, "decides payloads, sizes and arrivals")
    add(
        "--timeout",
        type=values.seconds,
        metavar="TIME",
        default=10.0,
        help="a reply that takes longer is an error (default: 10s)",
    )
    add_workers_option(
        group,
        "worker processes, for more load than one processor can make; 0 for as many as there are processors",
    )


def _add_pace(group: argparse._ArgumentGroup) -> None:
    kinds: tuple[tuple[str, Callable[[str], object], str, str], ...] = (
        (
            "--pipeline",
            values.positive_count,
            "N",
            "closed loop: messages in flight on each connection (default: 1)",
        ),
        (
            "--think",
            values.seconds,
            "TIME",
            "closed loop: how long after a reply the next message is sent (default: 0)",
        ),
        (
            "--rate",
            load_values.positive_rate,
            "RATE",
            "open loop: messages/s in all, sent on schedule whatever the replies do; 5000 or 20k",
        ),
        (
            "--arrival",
            values.one_of("uniform", "poisson"),
            "{uniform,poisson}",
            "open loop: at equal distances, or as independent users come (default: uniform)",
        ),
        ("--ramp", load_values.ramp, "FROM:TO/TIME", "open loop: a rate that grows, as 0:5000/30s"),
        (
            "--warmup",
            values.seconds,
            "TIME",
            "load before the part that is measured (default: 0; with --find-max 1s)",
        ),
    )
    for option, read, metavar, text in kinds:
        group.add_argument(option, type=read, metavar=metavar, help=text)
    add_schedule_option(group)


def _add_tls(group: argparse._ArgumentGroup) -> None:
    add_client_tls_options(group)
    group.add_argument(
        "--tls-resume",
        action="store_true",
        default=None,
        help="resume the session of an earlier connection on those that are opened later",
    )


def _add_objectives(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--slo",
        type=load_values.objective,
        metavar="OBJECTIVE",
        action="append",
        default=[],
        help="p99<5ms, mean<=800us, max<1s, errors==0, errors<0.1%%, rate>1000; of one stage p99<5ms@STAGE; "
        "may be given several times",
    )
    add(
        "--saturation",
        choices=("fail", "warn"),
        default="fail",
        help="a generator at its limit ends with exit code 5, or only with a warning (default: %(default)s)",
    )
    add(
        "--find-max",
        action="store_true",
        help="search for the highest rate that meets every --slo; --rate is where it starts (default: "
        "1000), and --duration is that of each trial (default: 5s)",
    )


def request_of(arguments: argparse.Namespace) -> LoadRequest:
    """Return what the options ask for together.

    Raises:
      CommandError: they contradict each other, or ask for something impossible.
    """
    replay = replay_of(arguments)
    _refuse_contradictions(arguments)
    refuse_unknown_stages(arguments.slo, arguments.stages or ())
    check_record(arguments)
    cluster = cluster_of(arguments)
    rate, duration_s, warmup_s = arguments.rate, arguments.duration, arguments.warmup
    if arguments.find_max:
        rate = rate or _FIRST_RATE
        duration_s = _TRIAL_S if duration_s is None else duration_s
        warmup_s = _TRIAL_WARMUP_S if warmup_s is None else warmup_s
    elif rate is not None and duration_s is None and arguments.messages is None:
        duration_s = _OPEN_LOOP_S
    given = messages_of(arguments)
    churn = churn_of(arguments, is_on_cluster=cluster is not None)
    sockets = sockets_of(arguments)
    tls = client_tls_of(arguments, ("tls_resume",))
    if tls is not None:
        context_of(tls)  # what is wrong with its files is said before anything is done
    connections = arguments.connections if replay is None else len(replay[0].connections)
    try:
        plan = LoadPlan(
            arguments.address.host,
            arguments.address.port,
            format=arguments.format,
            connections=connections,
            messages=arguments.messages,
            duration_s=duration_s,
            sizes=arguments.size or Sizes(),
            pipeline=arguments.pipeline or 1,
            think_s=arguments.think or 0.0,
            rate=rate,
            arrival=arguments.arrival or "uniform",
            warmup_s=warmup_s or 0.0,
            ramp=arguments.ramp,
            stages=arguments.stages or (),
            seed=chosen_seed(arguments),
            timeout_s=arguments.timeout,
            source=given.source if replay is None else replay[0].source,
            replay=None if replay is None else replay[1],
            reply=arguments.reply,
            churn=churn,
            tls=tls,
            sockets=sockets,
            service=traits_of(arguments, given),
            processes=arguments.workers or min(count_processors(), connections),
        )
    except ValueError as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from None
    if cluster is None:
        _refuse_too_much_memory(plan)
    start_rate = rate if arguments.find_max else None
    most_rate = plan.churn.most_messages_per_s
    if start_rate is not None and most_rate is not None and start_rate > most_rate:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            f"--find-max begins with {in_full(start_rate)} messages/s, and {plan.churn.limit_in_words}: "
            "give a lower --rate to begin with, or a higher --connect-rate",
        )
    return LoadRequest(
        plan,
        given,
        arguments.slo,
        start_rate,
        arguments.record,
        cluster,
        admin_of(arguments),
        server_metrics_of(arguments),
        None if replay is None else replay[0],
    )


def _refuse_too_much_memory(plan: LoadPlan) -> None:
    try:
        has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # this system does not say
        return
    needs = needed_memory(plan)
    if needs > has:
        connections = plural(plan.connections, "connection")
        raise CommandError(
            ExitCode.WRONG_USAGE,
            f"messages of up to {plan.sizes.most:,} bytes on {connections} take about {in_bytes(needs)} of "
            f"memory, and this machine has {in_bytes(has)}: take smaller messages, or fewer connections",
        )


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    is_open = arguments.rate is not None or arguments.ramp is not None or arguments.find_max
    is_open = is_open or bool(arguments.stages)
    for is_wrong, reason in (
        *(contradictions(arguments) if arguments.stages else ()),
        (
            arguments.messages is not None and arguments.duration is not None,
            "-n and --duration both say when the run ends; give one of them",
        ),
        (
            arguments.rate is not None and arguments.ramp is not None,
            "--rate and --ramp both say how fast; give one of them",
        ),
        (
            is_open and arguments.pipeline is not None,
            "--pipeline is for a closed loop; in an open one the rate says when to send",
        ),
        (
            is_open and arguments.think is not None,
            "--think is for a closed loop; in an open one the rate says when to send",
        ),
        (
            not is_open and arguments.arrival is not None,
            "--arrival is for an open loop; give a --rate, too",
        ),
        (
            arguments.find_max and not any(objective.can_break_under_load for objective in arguments.slo),
            "--find-max needs an objective that a higher rate can break, as --slo 'p99<5ms'",
        ),
        (
            arguments.find_max and arguments.messages is not None,
            "--find-max makes trials of equal length; give a --duration instead of --messages",
        ),
        (
            arguments.find_max and arguments.ramp is not None,
            "--find-max chooses the rates itself; leave out --ramp",
        ),
        (
            arguments.find_max and arguments.duration is not None and arguments.duration < _MIN_TRIAL_S,
            f"--find-max needs trials of at least {_MIN_TRIAL_S:g} s to tell one rate from another",
        ),
    ):
        if is_wrong:
            raise CommandError(ExitCode.WRONG_USAGE, reason)
