"""Two machines on one cable, as far as the network can tell: two network namespaces of this one, and a veth pair.

Nothing needs root, and nothing is left: the namespaces live in a user namespace of their own, and end with the
processes that hold them. Where the kernel or its administrator does not allow that, :func:`why_not` says so.
"""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType

from tests.support.child import Child
from tests.support.net import repeater_port

#: Stays in a namespace, and holds the port of the CA repeater there, so that no libca starts one.
_HOLDER = """
import socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
held.bind(("127.0.0.1", int(sys.argv[1])))
print("NAMESPACE READY", flush=True)
sys.stdin.read()
"""


def why_not() -> str | None:
    """Why there are no two machines on this one; None: there are."""
    try:
        done = subprocess.run(
            ["unshare", "-rn", "ip", "link", "add", "left", "type", "veth", "peer", "name", "right"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no network namespaces: {error}"
    return f"no network namespaces: {done.stderr.strip()}" if done.returncode else None


class Machine:
    """A network namespace. ``enter`` before a command runs it there; ``address`` is its address on the cable."""

    def __init__(self, address: str, *, beside: Machine | None = None) -> None:
        self.address = address
        way = ["unshare", "-rn"] if beside is None else [*beside.user_of(), "unshare", "-n"]
        argv = [*way, sys.executable, "-c", _HOLDER, str(repeater_port())]
        self.holder = Child(argv, stdin=True)
        self.holder.wait_for("NAMESPACE READY", 30)

    def user_of(self) -> list[str]:
        return ["nsenter", "--preserve-credentials", "--user", "-t", str(self.holder.pid)]

    @property
    def enter(self) -> list[str]:
        return [*self.user_of(), "--net"]

    def ip(self, *words: str) -> None:
        """Run the command ``ip`` there."""
        subprocess.run([*self.enter, "ip", *words], check=True, timeout=30)


class Cable:
    """Context manager: two machines, and the cable between them."""

    def __init__(self) -> None:
        self.machines: list[Machine] = []

    def __enter__(self) -> Cable:
        try:
            self.machines.append(Machine("10.77.0.1"))
            self.machines.append(Machine("10.77.0.2", beside=self.machines[0]))
            left, right = self.machines
            left.ip("link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(right.holder.pid))
            for machine in self.machines:
                machine.ip("addr", "add", f"{machine.address}/24", "broadcast", "10.77.0.255", "dev", "cable")
            self.plug()
        except BaseException:
            self.close()
            raise
        return self

    def plug(self) -> None:
        for machine in self.machines:
            machine.ip("link", "set", "cable", "up")

    def pull(self) -> None:
        """From now on nothing gets through, and nobody is told."""
        self.machines[0].ip("link", "set", "cable", "down")

    def close(self) -> None:
        for machine in self.machines:
            machine.holder.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
