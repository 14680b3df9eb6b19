"""The same plant on a real EPICS IOC: ``python -m ioc.epics_plant --prefix X1: [--port N]``.

Runs ``db/st.cmd`` in the EPICS base that the package ``epicscorelibs`` brings (``pip install epics-guardian[ioc]``), so
nothing needs to be compiled. Where EPICS is installed, ``cd db; P=X1: softIoc st.cmd`` does the same.

An IOC stops its process where it fails, and says why on stderr; this file adds the port, the access to loopback only,
and a clean end at SIGTERM.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from guardian.errors import ExpectedError
from ioc.address import choose_port, options, server_environment, try_it

DB = Path(__file__).resolve().parent.parent / "db"


def start(prefix: str, directory: Path = DB) -> None:
    """Load and start the IOC in this process. The environment holds its port; there is one IOC a process.

    Raises
    ------
    ExpectedError
        The package or the files are not there, or the start-up script failed.
    """
    if not (directory / "st.cmd").is_file():
        raise ExpectedError(f"EPICS plant: no st.cmd in {directory}; run it from a checkout of the project")
    try:
        from epicscorelibs import ioc as base
    except ImportError:
        raise ExpectedError(
            "EPICS plant: the package epicscorelibs is not installed; run: pip install 'epics-guardian[ioc]'"
        ) from None

    base.iocshRegisterCommon()
    if base.dbLoadDatabase(b"base.dbd", base.DEFAULT_DBD_PATH.encode(), None):
        raise ExpectedError(f"EPICS plant: base.dbd in {base.DEFAULT_DBD_PATH} does not load; reinstall epicscorelibs")
    if base.registerRecordDeviceDriver(base.pdbbase):
        raise ExpectedError("EPICS plant: the record types of base do not register; reinstall epicscorelibs")

    os.environ |= {"P": prefix, "PWD": str(directory)}
    os.chdir(directory)
    run_script = base.Com.iocsh
    run_script.argtypes, run_script.restype = [ctypes.c_char_p], ctypes.c_int
    if run_script(b"st.cmd"):
        raise ExpectedError(f"EPICS plant: {directory / 'st.cmd'} failed; the lines above say where")


def main(arguments: list[str] | None = None) -> int:
    """Run the IOC until SIGTERM or SIGINT; 0 when it was stopped, 2 when it cannot start."""
    chosen = options(arguments, program="python -m ioc.epics_plant", text="The simulated optics table, on EPICS base.")
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)  # before the threads of the IOC start: they inherit it
    try:
        port = choose_port(chosen.port, chosen.interface)
        os.environ.update(server_environment(port, chosen.interface))
        start(chosen.prefix)
    except ExpectedError as fault:
        print(fault, file=sys.stderr)
        return 2
    print(f"plant: an EPICS IOC with PVs named {chosen.prefix}* on {chosen.interface}:{port}", flush=True)
    print(try_it(port, f"{chosen.prefix}IMC-TRANS", chosen.interface), flush=True)
    signal.sigwait(stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
