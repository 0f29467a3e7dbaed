"""Apache ZooKeeper, one server alone, as Debian has it."""

from __future__ import annotations

import json
from pathlib import Path

from ..candidate import Candidate, Need, Ready, fault

_JAR = "/usr/share/java/zookeeper.jar"
# A session of 10 s, and whether / is there, with a number of its own.
_CONNECT = bytes(12) + (10_000).to_bytes(4, "big") + bytes(8) + (16).to_bytes(4, "big") + bytes(17)
_EXISTS = "{number:08x} 00000003 00000001 2f 00"


def _write_messages(folder: Path) -> None:
    (folder / "connect.jsonl").write_text(json.dumps({"hex": _CONNECT.hex()}))
    asked = [json.dumps({"hex": _EXISTS.format(number=number)}) for number in range(1, 101)]
    (folder / "exists.jsonl").write_text("\n".join(asked))


CANDIDATE = Candidate(
    name="zookeeper",
    title="ZooKeeper",
    command=(
        "java",
        "-Dzookeeper.admin.enableServer=false",
        "-Dzookeeper.forceSync=no",
        "-cp",
        _JAR,
        "org.apache.zookeeper.server.ZooKeeperServerMain",
        "{port}",
        "{folder}/data",
        "2000",  # its tick, in ms
        "1000",  # connections of one client; 60 would be too few for rule 3.2
    ),
    deviations=(
        fault(
            "4.6",
            "4.7",
            why="A length over `jute.maxbuffer` closes the connection at once (`NIOServerCnxn.readLength`), "
            "and the replies to requests before it are lost.",
        ),
        fault(
            "5.1",
            why="It takes a client that has ended its side for one that is gone (`NIOServerCnxn`, "
            "EndOfStreamException), and drops the replies that are still due.",
        ),
    ),
    needs=(Need("java", "default-jre-headless"), Need(_JAR, "libzookeeper-java")),
    version=("dpkg-query", "--show", "libzookeeper-java"),
    check=("--preset", "zookeeper"),
    load=(
        *("--format", "zookeeper", "--first-message", "{folder}/connect.jsonl"),
        *("--messages", "{folder}/exists.jsonl", "--reply", "count", "-c", "10", "-n", "500"),
    ),
    max_frame_length=0xFFFFF,
    ready=Ready(len(_CONNECT).to_bytes(4, "big") + _CONNECT, b"\0\0\0\x25"),
    note="It listens some seconds before it serves; a session that is asked for in that time gets no reply, "
    "or an end. So the suite is given one that serves, and cannot try what it would have to start anew.",
    prepare=_write_messages,
)
