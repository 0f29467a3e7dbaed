"""pyModbusTCP, a Modbus/TCP server of threads."""

from __future__ import annotations

from ..candidate import Candidate, Need, fault
from . import modbus_reads

CANDIDATE = Candidate(
    name="pymodbustcp",
    title="Modbus/TCP: pyModbusTCP",
    command=("{python}", "{sources}/pymodbustcp_registers.py", "{port}"),
    deviations=(
        fault(
            "4.7",
            why="It closes the socket of a frame over the limit with the rest of that frame unread, and the "
            "kernel then resets the connection.",
        ),
        fault(
            "6.2",
            why="Nothing in it handles SIGTERM, so the process ends at once, and the kernel resets what it "
            "had not read.",
        ),
    ),
    needs=(Need("pyModbusTCP", "pyModbusTCP", in_python=True),),
    version=("{python}", "-c", "from importlib.metadata import version; print(version('pyModbusTCP'))"),
    requests=modbus_reads.AS_LINES,
    check=modbus_reads.CHECK,
    load=modbus_reads.LOAD,
    # One more than Modbus has.
    max_frame_length=254,
)
