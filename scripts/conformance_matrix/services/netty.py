"""An echo on Netty, with its LengthFieldBasedFrameDecoder, as Debian has it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ..candidate import SOURCES, Candidate, Need, documented

_JARS = [
    f"/usr/share/java/netty-{part}.jar"
    for part in ("buffer", "codec", "common", "handler", "resolver", "transport")
]
_CLASS_PATH = ":".join(_JARS)


def _compile(folder: Path) -> None:
    subprocess.run(
        ["javac", "-cp", _CLASS_PATH, "-d", str(folder), str(SOURCES / "NettyEcho.java")], check=True
    )


CANDIDATE = Candidate(
    name="netty",
    title="Java, Netty's `LengthFieldBasedFrameDecoder`",
    command=("java", "-cp", f"{_CLASS_PATH}:{{folder}}", "NettyEcho", "{port}"),
    deviations=(
        documented(
            "6.2",
            why="At SIGTERM a virtual machine of Java runs its shutdown hooks and ends (java.lang.Runtime); "
            "without one that calls `shutdownGracefully`, the kernel resets what was not read.",
        ),
    ),
    needs=(
        Need("javac", "default-jdk-headless"),
        *(Need(jar, "libnetty-java") for jar in _JARS),
    ),
    version=("dpkg-query", "--show", "libnetty-java"),
    load=("-c", "10", "-n", "500", "--pipeline", "8"),
    max_frame_length=1 << 20,
    prepare=_compile,
)
