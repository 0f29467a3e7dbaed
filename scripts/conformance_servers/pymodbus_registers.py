"""pymodbus with 100 holding registers, of which number n holds 100 + n.  usage: pymodbus_registers.py PORT"""

import asyncio
import sys

from pymodbus.server import StartAsyncTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

REGISTERS = SimData(0, values=list(range(100, 200)), datatype=DataType.REGISTERS)
UNIT = SimDevice(id=0, simdata=[REGISTERS])  # 0: the whole device, as is usual over TCP

asyncio.run(StartAsyncTcpServer(UNIT, address=("127.0.0.1", int(sys.argv[1]))))
