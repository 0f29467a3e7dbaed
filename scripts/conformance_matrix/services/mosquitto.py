"""Mosquitto, an MQTT broker, as Debian has it, without a configuration."""

from __future__ import annotations

from pathlib import Path

from ..candidate import Candidate, Need, documented, fault

# CONNECT of MQTT 3.1.1 with a clean session, and PINGREQ.
_CONNECT, _PING = "100c 0004 4d515454 04 02 003c 0000", "c000"


def _write_messages(folder: Path) -> None:
    for name, frame in (("connect", _CONNECT), ("ping", _PING)):
        (folder / f"{name}.frames").write_bytes(bytes.fromhex(frame))


CANDIDATE = Candidate(
    name="mosquitto",
    title="MQTT: Mosquitto",
    command=("mosquitto", "-p", "{port}"),
    deviations=(
        documented(
            "4.3",
            "4.4",
            "4.5",
            why="It takes packets of any size that MQTT has, up to 268,435,455 bytes, unless "
            "`max_packet_size` says otherwise (mosquitto.conf(5)), and waits for them.",
        ),
        fault(
            "4.9",
            why="When a packet's header is complete, it takes memory for the whole packet (`packet__read` in "
            "`lib/packet_mosq.c`).",
        ),
        fault(
            "6.2",
            why="At SIGTERM it ends at once, and the kernel resets what it had not read. MQTT has clients "
            "connect and send again (MQTT 3.1.1, section 4.4).",
        ),
    ),
    needs=(Need("mosquitto", "mosquitto"),),
    version=("mosquitto", "-h"),
    check=("--preset", "mqtt"),
    load=(
        *("--format", "mqtt", "--first-message", "{folder}/connect.frames"),
        *("--messages", "{folder}/ping.frames", "--reply", "count", "-c", "10", "-n", "500"),
    ),
    prepare=_write_messages,
)
