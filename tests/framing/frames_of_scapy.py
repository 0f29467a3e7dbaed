"""Frames that Scapy makes, by the names of presets: each on the wire, and its payload.

Scapy knows the packets of these protocols by its own reading of their specifications.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def scapy(module: str) -> Any:
    return pytest.importorskip(f"scapy.{module}")


def stack(header: Any, body: Any) -> tuple[bytes, bytes]:
    """Put a packet on top of a header, whose length Scapy finds out then."""
    return bytes(header / body), bytes(body)


def bgp() -> list[tuple[bytes, bytes]]:
    bgp = scapy("contrib.bgp")
    opening = stack(bgp.BGPHeader(), bgp.BGPOpen(my_as=64512, bgp_id="10.0.0.1"))
    return [opening, (bytes(bgp.BGPKeepAlive()), b""), stack(bgp.BGPHeader(), bgp.BGPUpdate())]


def diameter() -> list[tuple[bytes, bytes]]:
    diameter = scapy("contrib.diameter")
    made = []
    for names in ([], [b"host"], [b"host", b"realm.example"]):  # the last is padded to 4 bytes
        pairs = [diameter.AVP(264 + 32 * at, val=name) for at, name in enumerate(names)]
        made.append((bytes(diameter.DiamG(drCode=280, avpList=pairs)), b"".join(map(bytes, pairs))))
    return made


def dicom() -> list[tuple[bytes, bytes]]:
    dicom = scapy("contrib.dicom")
    data = dicom.P_DATA_TF(pdv_items=[dicom.PresentationDataValueItem(data=b"x" * 70_000)])
    association = dicom.A_ASSOCIATE_RQ(called_ae_title=b"YOU", calling_ae_title=b"ME")
    return [stack(dicom.DICOM(), body) for body in (association, data, dicom.A_RELEASE_RQ())]


def iec104() -> list[tuple[bytes, bytes]]:
    iec104 = scapy("contrib.scada.iec104")
    made = [bytes(iec104.IEC104_U_Message(startdt_act=1)), bytes(iec104.IEC104_S_Message(rx_seq_num=3))]
    for points in (1, 60):
        each = [iec104.IEC104_IO_M_SP_NA_1_IOA(information_object_address=at) for at in range(points)]
        made.append(bytes(iec104.IEC104_I_Message_SingleIOA(tx_seq_num=1, io=each)))
        assert len(made[-1]) == 2 + 4 + 6 + 4 * points  # control, the head of the unit, and each point
    return [(wire, wire[2:]) for wire in made]


def ldp() -> list[tuple[bytes, bytes]]:
    ldp = scapy("contrib.ldp")
    bodies = [ldp.LDPKeepAlive(id=1), ldp.LDPAddress(id=2, address=["10.0.0.1", "10.0.0.2"])]
    return [stack(ldp.LDP(id="10.0.0.1"), body) for body in bodies]


def modbus() -> list[tuple[bytes, bytes]]:
    modbus = scapy("contrib.modbus")
    reading = modbus.ModbusPDU03ReadHoldingRegistersRequest(startAddr=107, quantity=3)
    writing = modbus.ModbusPDU10WriteMultipleRegistersRequest(outputsValue=list(range(123)))
    return [
        stack(modbus.ModbusADURequest(transId=1, unitId=17), reading),
        stack(modbus.ModbusADURequest(transId=2), writing),
    ]


def mqtt() -> list[tuple[bytes, bytes]]:
    mqtt = scapy("contrib.mqtt")
    bodies = [mqtt.MQTTConnect(clientId="me")]
    # The length takes 1 byte to 4.
    bodies += [mqtt.MQTTPublish(topic="a/b", value=b"x" * size) for size in (122, 123, 20_000, 2_100_000)]
    return [*(stack(mqtt.MQTT(), body) for body in bodies), (bytes(mqtt.MQTT(type=12)), b"")]


def netbios() -> list[tuple[bytes, bytes]]:
    netbios, raw = scapy("layers.netbios"), scapy("packet").Raw
    keepalive = bytes(netbios.NBTSession(TYPE=0x85)), b""
    return [keepalive, *(stack(netbios.NBTSession(), raw(b"x" * size)) for size in (5, 70_000))]


def onc_rpc() -> list[tuple[bytes, bytes]]:
    rpc, raw = scapy("contrib.oncrpc"), scapy("packet").Raw
    call = rpc.RPC(xid=7) / rpc.RPC_Call(program=100_000, pversion=2, procedure=0)
    return [stack(rpc.RM_Header(), body) for body in (call, call / raw(b"x" * 300))]


def openflow() -> list[tuple[bytes, bytes]]:
    openflow, raw = scapy("contrib.openflow3"), scapy("packet").Raw
    hello = bytes(openflow.OFPTHello(xid=1)), b""
    return [hello, stack(openflow.OFPTEchoRequest(xid=9), raw(b"y" * 200))]


def radius() -> list[tuple[bytes, bytes]]:
    radius = scapy("layers.radius")
    attributes = [radius.RadiusAttr_User_Name(value=b"nemo"), radius.RadiusAttr_NAS_Port(value=3)]
    made = []
    for given in (attributes, []):
        packet = radius.Radius(code=1, id=3, authenticator=b"0123456789abcdef", attributes=given)
        made.append((bytes(packet), b"".join(map(bytes, given))))
    return made


def smb() -> list[tuple[bytes, bytes]]:
    smb, raw = scapy("layers.smb2"), scapy("packet").Raw
    echo = smb.SMB2_Header() / smb.SMB2_Echo_Request()
    return [stack(smb.DirectTCP(), body) for body in (echo, echo / raw(b"x" * 140_000))]


OF_SCAPY: dict[str, Callable[[], list[tuple[bytes, bytes]]]] = {
    "bgp": bgp,
    "diameter": diameter,
    "dicom": dicom,
    "iec104": iec104,
    "ldp": ldp,
    "modbus": modbus,
    "mqtt": mqtt,
    "netbios": netbios,
    "onc-rpc": onc_rpc,
    "openflow": openflow,
    "radius": radius,
    "smb": smb,
}
