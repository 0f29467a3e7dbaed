"""Erlang's own framing, the socket option {packet, 4}, in an echo of a few lines."""

from __future__ import annotations

from ..candidate import Candidate, Need, documented

CANDIDATE = Candidate(
    name="erlang",
    title="Erlang, `{packet, 4}`",
    command=("escript", "{sources}/packet4.escript", "{port}"),
    deviations=(
        documented(
            "4.7",
            why="A length over `packet_size` ends the connection at once (inet:setopts/2), with the rest "
            "unread, and the kernel then resets it.",
        ),
        documented(
            "6.2",
            why="SIGTERM produces a stop message to the init process (erl(1)), which ends all; these few "
            "lines are no application that would drain first.",
        ),
    ),
    needs=(Need("escript", "erlang-base"),),
    version=("erl", "-noshell", "-eval", 'io:format("~s.0~n", [erlang:system_info(otp_release)]), halt().'),
    load=("-c", "10", "-n", "500", "--pipeline", "8"),
    max_frame_length=1 << 20,
)
