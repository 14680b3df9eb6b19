"""Which host on this machine an order goes to, and which hosts there are here. No Channel Access, as long as it goes.

What the command line says counts: --site, --state-dir, else the usual place for --ifo or $IFO. If nobody listens there,
the hosts of this machine are found by their lock files and in the usual places, and asked.
"""

from __future__ import annotations

import argparse
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from guardian.cli.ctrl.names import control_socket, names_of
from guardian.cli.state_dirs import state_dirs
from guardian.client.names import Names
from guardian.errors import ExpectedError
from guardian.host.asking import NoAnswer, NoHost, ask
from guardian.host.claim import parse
from guardian.host.places import CONTROL_SOCKET

#: A host that is busy answers later; who looks for hosts does not wait for one that hangs.
LOOK_S = 3.0


def ask_host(node: str, options: argparse.Namespace, order: dict[str, Any], timeout_s: float = 15.0) -> dict[str, Any]:
    """The answer of the host at :func:`place_of`.

    Raises
    ------
    NoHost, WrongCall
    ExpectedError
        As of :func:`place_of`; or the host says no.
    """
    return ask_at(place_of(node, options), options, order, timeout_s)


def ask_at(place: Path, options: argparse.Namespace, order: dict[str, Any], timeout_s: float = 15.0) -> dict[str, Any]:
    """The same of a host whose place is known; safe in threads."""
    try:
        return ask(place, order, timeout_s)
    except NoHost as error:
        if options.site:
            raise NoHost(f"{error}. To start it: guardhost --site {options.site}") from None
        raise


def place_of(node: str, options: argparse.Namespace) -> Path:
    """The control socket of the host on this machine that the command line means, or else of the one that runs `node`.

    Parameters
    ----------
    node : "" for any.

    Raises
    ------
    WrongCall
    ExpectedError
        Several hosts could be meant, or one that does not answer; or the node runs on another machine.
    """
    usual = control_socket(options)
    if options.site or options.state_dir or _is_heard(usual):
        return usual
    return _another(node, options) or usual


def hosts_here(ifo: str | None = None) -> dict[Path, dict[str, Any]]:
    """The hosts of this machine that this user may ask: control sockets, with what each says about itself.

    Parameters
    ----------
    ifo : of its PVs; None: any.
    """
    told = {place: told for place, told in _all_here().items() if isinstance(told, dict)}
    return {place: about for place, about in told.items() if ifo in (None, about.get("ifo"))}


def silent_here() -> list[str]:
    """A sentence for each host of this machine that is there and does not answer, whatever its nodes are called."""
    return [str(why) for why in _all_here().values() if isinstance(why, NoAnswer)]


@cache
def _all_here() -> dict[Path, dict[str, Any] | ExpectedError]:
    places = [path / CONTROL_SOCKET for path in state_dirs(CONTROL_SOCKET)]
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(places, pool.map(_about, places), strict=True))


def ifo_meant(options: argparse.Namespace) -> str | None:
    """By --ifo or $IFO; None: nothing is said."""
    ifo: str | None = options.ifo
    return os.environ.get("IFO") if ifo is None else ifo


def several(found: dict[Path, dict[str, Any]]) -> str:
    """What to say where any of these could be meant."""
    each = "; ".join(f"--state-dir {place.parent} ({len(told['nodes'])} nodes)" for place, told in found.items())
    return f"several hosts run on this machine; say which one: {each}"


def _about(place: Path) -> dict[str, Any] | ExpectedError:
    try:
        return ask(place, {"do": "about"}, LOOK_S)
    except ExpectedError as error:
        return error


def _is_heard(place: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as sock, suppress(OSError):
        sock.setblocking(False)
        with suppress(BlockingIOError):  # busy
            sock.connect(os.fspath(place))
        return True
    return False


def _another(node: str, options: argparse.Namespace) -> Path | None:
    """The control socket of the host that runs a node, or of the only one here. It is never guessed."""
    ifo = ifo_meant(options)
    found = hosts_here(ifo)
    mine = {place: told for place, told in found.items() if not node or node in told["nodes"]}
    if len(mine) > 1:
        raise ExpectedError(several(mine))
    silent = silent_here()
    if silent and mine and (ifo is None or not node):
        raise ExpectedError(f"{'; '.join(silent)}. It may be the one that is meant; say which one, with --state-dir")
    if mine:
        return next(iter(mine))
    if silent:
        raise ExpectedError("; ".join(silent))
    return _as_it_says(node, names_of(options)) if node else None


def _as_it_says(node: str, names: Names) -> Path | None:
    """The same, as the node itself says over Channel Access; None: it does not say."""
    from guardian.cli.ctrl.remote import connect
    from guardian.client.ca import Session

    (remote,) = connect(Session(), (node,), names, ("HOST",))
    claim = parse(remote.text("HOST")) if remote.there and remote.ours else None
    if claim is None:
        return None
    if claim.machine != socket.gethostname():
        raise ExpectedError(f"{node} is run by {claim}; on that machine: guardctrl --state-dir {claim.dir} ...")
    return Path(claim.dir) / CONTROL_SOCKET
