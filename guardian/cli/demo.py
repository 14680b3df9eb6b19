"""``python -m guardian.cli.demo`` (``make demo``): a simulated optics table and the nodes that run it, in one terminal.

What runs is what a site runs: a plant that serves PVs (``ioc.plant``, or with ``--epics`` the same records in a real
EPICS IOC), a ``guardhost`` with a site file, a ``guardian-console``, and a client, this process, that shows what it
reads over Channel Access.

Invariants
----------
* Loopback only, on ports that were free; the user's own EPICS settings are left out.
* Nothing outlives this process: Ctrl-C, SIGTERM and a closed terminal end the console, the host, then the plant;
  ``kill -9`` does so through the parent-death signal. The children are in process groups of their own, so Ctrl-C
  reaches them in order.
* ``demo.env`` exists as long as the demo runs; see :mod:`guardian.cli.demo_files`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path

from guardian.cli.console import COMMAND as CONSOLE
from guardian.cli.console import NEEDS
from guardian.cli.demo_files import ADDRESS, Files, draw_ports
from guardian.cli.demo_process import DemoProcess, worker_pids
from guardian.cli.output import FAILED, OK, WRONG_CALL, complain
from guardian.cli.wrappers import command
from guardian.errors import ExpectedError

IFO = "X1"
USER = "demo"
NODES = ("IFO", "IMC_LOCK", "ALIGN", "SUS_MC1", "SUS_MC2", "SUS_MC3")
START_S = 60.0
PERIOD_S = 0.2
#: The end of a host with a worker that hangs: 1 s for the worker, the rest for a loaded machine.
END_S = 20.0


class Ended(Exception):
    """Ctrl-C, or a signal that means the same."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo until Ctrl-C. Exit code 1: something did not start, or ended by itself."""
    parser = argparse.ArgumentParser(prog="demo", description="Three mirrors and a cavity, simulated; Ctrl-C ends it.")
    parser.add_argument("--epics", action="store_true", help="run the plant on a real EPICS IOC (extra [ioc])")
    parser.add_argument("--dir", type=Path, default=Path.cwd(), help="where demo.env and .demo/ go (default: here)")
    parser.add_argument("--plain", action="store_true", help="print lines, do not redraw a table")
    options = parser.parse_args(argv)
    house = Path(__file__).resolve().parents[2]
    if not (house / "nodes").is_dir():
        complain("demo", f"there are no demo nodes in {house / 'nodes'}; run it in a checkout of the project")
        return WRONG_CALL
    ended: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: ended.append(number))
    try:
        with ExitStack() as stack:
            _run(options, house, lambda: bool(ended), stack)
    except Ended:
        return OK
    except ExpectedError as error:
        # Not `complain`: what a child said has several lines.
        print(f"demo: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # `make demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return OK


def _run(options: argparse.Namespace, house: Path, ended: Callable[[], bool], stack: ExitStack) -> None:
    files = stack.enter_context(Files(options.dir.resolve()))
    ports = draw_ports(2)
    stack.callback(_farewell)
    _clean_environment(files, ports)

    print("guardian demo: three mirrors and a cavity, simulated, on this machine only", flush=True)
    module, what = ("ioc.epics_plant", "EPICS IOC") if options.epics else ("ioc.plant", "plant")
    plant = DemoProcess(
        [sys.executable, "-m", module, "--prefix", f"{IFO}:", "--port", str(ports[0])],
        log=files.log("plant"),
        cwd=house,
        environ=_server_environ(ports[0]),
    )
    stack.callback(plant.end, END_S)
    _started(plant, what, ports[0], "plant: ", ended)

    site = files.write_site(ifo=IFO, nodes=NODES, path=house / "nodes", port=ports[1])
    host = DemoProcess(
        [*command("guardhost"), "--site", str(site), "--fresh"],
        log=files.log("guardhost"),
        cwd=house,
        environ=_server_environ(ports[1]),
    )
    stack.callback(host.end, END_S)
    _started(host, "guardhost", ports[1], "guardhost: ", ended)

    files.write_env(ifo=IFO, ports=ports)
    console, pages, screens = _open_console(files, site, house, stack)

    # Only now: libca reads the environment when it is loaded.
    from guardian.cli.demo_table import Watch, show

    watch = Watch(IFO, NODES)
    began = time.monotonic()
    while missing := watch.missing():
        _check(plant, host, *console, ended=ended)
        if time.monotonic() > began + START_S:
            raise ExpectedError(f"no answer from {', '.join(missing)} in {START_S:g} s\n{host.last_words()}")
        time.sleep(0.05)

    def turn() -> None:
        _check(plant, host, ended=ended)
        if console and (how := console[0].ended):  # no node needs it
            screens[:] = [f"The screens have ended ({how}), the nodes run on: see {files.log(CONSOLE)}"]
        watch.pids = worker_pids(host.pid)
        files.write_pids(watch.pids)
        time.sleep(PERIOD_S)

    for process in console:
        _started(process, "console", pages, f"{CONSOLE}: http", ended)
    show(watch, screens, files.lines_to_paste(IFO), turn, plain=options.plain)


def _open_console(files: Files, site: Path, house: Path, stack: ExitStack) -> tuple[list[DemoProcess], int, list[str]]:
    """The operator screens, for somebody who may write all; none without the extra [web].

    Returns
    -------
    The process, its port, and the lines that say where the screens are and how to log in.
    """
    if any(find_spec(name) is None for name in NEEDS):
        print("  console    none: it needs pip install 'epics-guardian[web]'", flush=True)
        return [], 0, []
    (port,) = draw_ports(1)
    users, token = files.invite(USER)
    console = DemoProcess(
        [*command("console"), "--site", str(site), "--port", str(port), "--allow-write", "--users", str(users)],
        log=files.log(CONSOLE),
        cwd=house,
        environ=os.environ,
    )
    stack.callback(console.end, END_S)
    return [console], port, [f"Screens for a browser: http://{ADDRESS}:{port}/", f"  log in as {USER} {token}"]


def _started(process: DemoProcess, what: str, port: int, sign: str, ended: Callable[[], bool]) -> None:
    """Wait until the process says in its log that it serves."""
    began = time.monotonic()
    if sys.stdout.isatty():
        print(f"  {what:10} starts ...", end="\r", flush=True)
    while not process.has_said(sign):
        _check(process, ended=ended)
        if time.monotonic() > began + START_S:
            raise ExpectedError(f"the {what} is not up after {START_S:g} s\n{process.last_words()}")
        time.sleep(0.05)
    print(f"  {what:10} on {ADDRESS}:{port} after {time.monotonic() - began:.1f} s", flush=True)


def _check(*processes: DemoProcess, ended: Callable[[], bool]) -> None:
    if ended():
        raise Ended
    for process in processes:
        process.check()


def _clean_environment(files: Files, ports: Sequence[int]) -> None:
    """Leave out what the user's shell says about EPICS, for this process and its children."""
    for name in [name for name in os.environ if name.startswith(("EPICS_CA", "GUARD_", "USERAPPS_"))]:
        del os.environ[name]
    os.environ |= {
        "EPICS_CA_ADDR_LIST": " ".join(f"{ADDRESS}:{port}" for port in ports),
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_REPEATER_PORT": str(files.repeater_port),
        "GUARD_LOCK_DIR": str(files.locks),
        "PYTHONUNBUFFERED": "1",
    }


def _server_environ(port: int) -> dict[str, str]:
    return {
        **os.environ,
        "EPICS_CAS_SERVER_PORT": str(port),
        "EPICS_CAS_INTF_ADDR_LIST": ADDRESS,
        "EPICS_CAS_BEACON_ADDR_LIST": ADDRESS,
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
    }


def _farewell() -> None:
    with suppress(OSError):  # the terminal may be gone
        print("guardian demo: ended, nothing is left running", flush=True)


if __name__ == "__main__":
    sys.exit(main())
