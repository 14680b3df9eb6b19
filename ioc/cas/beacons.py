"""Beacons: "I am here", at once after a start and then ever more slowly, so that waiting clients find us soon.

A client that has searched in vain for a while asks only every few minutes; the first beacons of a server make it ask
again. The period begins with 20 ms and doubles up to EPICS_CAS_BEACON_PERIOD (15 s), as the specification has it.

They go out unconnected, so that a machine without a repeater does not fill the log with refusals, where caproto logs a
traceback for each; and they carry no address, so that clients take the one they came from (caproto names the interface
it bound last). A server on loopback alone does not shout outside unless EPICS_CAS_BEACON_ADDR_LIST says so.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Sequence
from typing import Any

import caproto as ca

from ioc.cas import wire

log = logging.getLogger(__name__)

FIRST_PERIOD_S = 0.02
BACKOFF = 2


def addresses(interfaces: Sequence[str], environ: Any) -> list[tuple[str, int]]:
    """Where beacons go."""
    alone = all(ipaddress.ip_address(interface).is_loopback for interface in interfaces)
    if alone and not environ["EPICS_CAS_BEACON_ADDR_LIST"].strip():
        return [("127.0.0.1", environ["EPICS_CAS_BEACON_PORT"])]
    listed: list[tuple[str, int]] = ca.get_beacon_address_list()
    return listed


async def send_beacons(port: int, to: Sequence[tuple[str, int]], longest_s: float) -> None:
    """Until it is cancelled.

    Parameters
    ----------
    port : of circuits. to : addresses. longest_s : the period that is reached in the end.
    """
    period, number = FIRST_PERIOD_S, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setblocking(False)
        while True:
            beacon = wire.message(wire.RSRV_IS_UP, wire.MINOR_VERSION, port, number, 0)
            for address in to:
                try:
                    sock.sendto(beacon, address)
                except OSError as error:  # a network that is down; the next beacon may get through
                    log.debug("no beacon to %s:%d: %s", *address, error)
            number = (number + 1) % 2**32
            await asyncio.sleep(period)
            period = min(longest_s, period * BACKOFF)
