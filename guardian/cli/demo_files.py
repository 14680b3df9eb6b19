"""What the demo leaves for a second terminal: ``demo.env``, and the folder ``.demo``.

===================  ==================================================================================
demo.env             what a shell must know to find the demo: ``. ./demo.env``; gone when the demo ends
.demo/site.toml      the site file of the host
.demo/bin            guardctrl and guardlog for this host, and guardutil (first on PATH)
.demo/ca             caget, caput, camonitor (last on PATH: those of EPICS win)
.demo/pid/NODE       process id of the node's worker; gone when the demo ends
.demo/*.log          what plant and host said; .demo/state has settings and journal
.demo/locks          locks of the nodes: its network is its own, so no node elsewhere is the same as one of these
===================  ==================================================================================

A lock file keeps a second demo out of the same folder. A ``demo.env`` that is somebody else's is not touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import shlex
import shutil
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from guardian.cli.wrappers import command, write_ca_tools, write_wrapper
from guardian.errors import ExpectedError
from guardian.host.asking import PATH_BYTES
from guardian.host.places import CONTROL_SOCKET

ADDRESS = "127.0.0.1"
_HEAD = "# Written by the guardian demo"
#: Below the range from which the kernel takes ports for clients.
_PORTS = range(20000, 32000)


class Files:
    """Context manager round the files of one running demo.

    Parameters
    ----------
    directory : where ``demo.env`` and ``.demo`` go.

    Attributes
    ----------
    repeater_port : a port that this object holds. A libca that finds it taken believes that a CA repeater runs there,
        so none is started that would outlive the demo.

    Raises
    ------
    ExpectedError
        A demo runs already here, or a file of that name is somebody else's.
    """

    def __init__(self, directory: Path) -> None:
        self.env = directory / "demo.env"
        self.folder = directory / ".demo"
        self.locks = self.folder / "locks"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            try:
                self.folder.mkdir(exist_ok=True)
                lock = undo.enter_context((self.folder / "lock").open("w"))
            except OSError as error:
                raise ExpectedError(
                    f"{self.folder}: {error.strerror}; name a folder that can be written, with --dir"
                ) from None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ExpectedError(
                    f"a demo runs already here; end it, or use it: . {shlex.quote(str(self.env))}"
                ) from None
            if self.env.exists() and not self.env.read_text(errors="replace").startswith(_HEAD):
                raise ExpectedError(f"{self.env} is not of this demo; move it away, or name another folder with --dir")
            self.repeater_port = _hold_repeater_port(undo)
            self.pids = self.folder / "pid"
            shutil.rmtree(self.pids, ignore_errors=True)
            self.pids.mkdir()
            self._state = self.folder / "state"
            if len(os.fsencode(self._state / CONTROL_SOCKET)) > PATH_BYTES:
                self._state = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="guardian-demo-")))
            undo.callback(shutil.rmtree, self.pids, ignore_errors=True)
            undo.callback(self.env.unlink, missing_ok=True)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def write_site(self, *, ifo: str, nodes: Sequence[str], path: Path, port: int) -> Path:
        """Write the site file and return its path."""
        values = {"ifo": ifo, "nodes": list(nodes), "path": [str(path)], "port": port, "state_dir": str(self._state)}
        site = self.folder / "site.toml"
        # Texts, numbers and lists of texts look the same in JSON and TOML.
        site.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        return site

    def invite(self, user: str) -> tuple[Path, str]:
        """Write a users file of the console with this one, who may do all; and the token to log in with."""
        from guardian.console.people import Role
        from guardian.console.users import changing, invent

        file = self.folder / "users"
        file.unlink(missing_ok=True)
        with changing(file) as users:
            users[user], token = invent(user, Role.EXPERT)
        return file, token

    def write_env(self, *, ifo: str, ports: Sequence[int]) -> None:
        """Write ``demo.env`` and the programs it puts on PATH."""
        write_ca_tools(self.folder / "ca")
        here = ["--site", str(self.folder / "site.toml")]
        for name, options in (("guardctrl", here), ("guardlog", here), ("guardutil", [])):
            write_wrapper(self.folder / "bin", name, [*command(name), *options])
        addresses = " ".join(f"{ADDRESS}:{port}" for port in ports)
        first, last = (shlex.quote(str(self.folder / name)) for name in ("bin", "ca"))
        text = f"""{_HEAD} with process id {os.getpid()}; gone when it ends.
unset EPICS_CA_NAME_SERVERS EPICS_CA_SERVER_PORT
export EPICS_CA_ADDR_LIST={shlex.quote(addresses)}
export EPICS_CA_AUTO_ADDR_LIST=NO
export EPICS_CA_REPEATER_PORT={self.repeater_port}
export GUARD_LOCK_DIR={shlex.quote(str(self.locks))}
export IFO={ifo}
export DEMO={shlex.quote(str(self.folder))}
export PATH={first}:"$PATH":{last}
"""
        fresh = self.env.with_name(".demo.env.new")
        fresh.write_text(text)
        fresh.replace(self.env)

    def write_pids(self, pids: Mapping[str, int]) -> None:
        """Tell a second terminal the processes to kill."""
        for node, pid in pids.items():
            (self.pids / node).write_text(f"{pid}\n")
        for path in self.pids.iterdir():
            if path.name not in pids:
                path.unlink()

    def lines_to_paste(self, ifo: str) -> list[tuple[str, str]]:
        """Complete lines for a second terminal, each with what it does."""
        return [
            (f". {shlex.quote(str(self.env))}", "first: where to find the demo"),
            (f"caput {ifo}:GRD-IFO_REQUEST DOWN", "ask the top: everything off (LOCKED: back)"),
            (f"caput {ifo}:GRD-SUS_MC1_REQUEST MISALIGNED", "turn a mirror away, behind its manager"),
            (f"caput {ifo}:GRD-ALIGN_REENTER 1", "its manager asks again"),
            (f"caput {ifo}:IMC-KICK 50", "kick the cavity: it loses its lock"),
            (f"caput {ifo}:SUS-MC2_KICK 300", "kick a mirror: its watchdog trips"),
            (f"caput {ifo}:SUS-MC2_WD_RESET 1", "reset it, once the mirror is quiet"),
            ("kill -9 $(cat $DEMO/pid/SUS_MC3)", "kill a worker: a new one comes"),
        ]


def draw_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody serves on, neither with UDP nor with TCP."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, 500):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            contextlib.suppress(OSError),
        ):
            tcp.bind((ADDRESS, port))
            udp.bind((ADDRESS, port))
            found.append(port)
        if len(found) == count:
            return found
    raise ExpectedError(f"no free ports on {ADDRESS} between {_PORTS.start} and {_PORTS.stop}")


def _hold_repeater_port(undo: contextlib.ExitStack) -> int:
    held = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    held.bind(("", 0))
    return int(held.getsockname()[1])
