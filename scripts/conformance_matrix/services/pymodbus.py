"""pymodbus, a Modbus/TCP server on asyncio."""

from __future__ import annotations

from ..candidate import Candidate, Need, fault
from . import modbus_reads

CANDIDATE = Candidate(
    name="pymodbus",
    title="Modbus/TCP: pymodbus",
    command=("{python}", "{sources}/pymodbus_registers.py", "{port}"),
    deviations=(
        fault(
            "2.2",
            "2.5",
            "2.6",
            "2.8",
            "3.1",
            "3.5",
            "7.1",
            why="A connection remembers one request (`last_pdu` in `server/requesthandler.py`): one that "
            "comes before that is served takes its place, and the first gets no reply. Modbus lets a server "
            "take 1 to 16 requests at a time (NumberMaxOfServerTransaction), and has the exception 06 for "
            "more.",
        ),
        fault(
            "4.1",
            "4.2",
            "4.3",
            "4.4",
            "4.5",
            why="It has no limit: it waits for as many bytes as were announced. Modbus has at most 253.",
        ),
        fault(
            "5.1",
            why="When a client ends its side, asyncio closes the transport unless `eof_received` says no "
            "(asyncio, Protocols), and the reply that is not made yet is dropped.",
        ),
    ),
    needs=(Need("pymodbus", "pymodbus", in_python=True),),
    version=("{python}", "-c", "import pymodbus; print(pymodbus.__version__)"),
    requests=modbus_reads.AS_LINES,
    check=modbus_reads.CHECK,
    load=modbus_reads.LOAD,
    max_frame_length=253,
)
