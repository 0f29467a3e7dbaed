"""pyModbusTCP with holding registers 0 to 99; n holds 100 + n.  usage: pymodbustcp_registers.py PORT"""

import sys

from pyModbusTCP.server import DataBank, ModbusServer

registers = DataBank()
registers.set_holding_registers(0, list(range(100, 200)))
ModbusServer("127.0.0.1", int(sys.argv[1]), data_bank=registers).start()
