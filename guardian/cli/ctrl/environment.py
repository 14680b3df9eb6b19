"""The environment that Channel Access clients look at: what is in force, what is odd, and the line that mends it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

#: The variables, and what counts where they are not set.
DEFAULTS = {
    "EPICS_CA_ADDR_LIST": "",
    "EPICS_CA_AUTO_ADDR_LIST": "YES",
    "EPICS_CA_NAME_SERVERS": "",
    "EPICS_CA_SERVER_PORT": "5064",
    "EPICS_CA_REPEATER_PORT": "5065",
    "EPICS_CA_MAX_ARRAY_BYTES": "16384",
    "EPICS_CA_AUTO_ARRAY_BYTES": "YES",
}
#: GRAPH and the lists of states may be as long as this.
LONGEST_BYTES = 262_144


def in_force() -> dict[str, tuple[str, bool]]:
    """Each variable with what counts, and whether that is the default."""
    found = {}
    for name, default in DEFAULTS.items():
        value = os.environ.get(name, "").strip()
        found[name] = (value or default, not value)
    return found


def server_port() -> int:
    """The port that addresses without one mean."""
    value = in_force()["EPICS_CA_SERVER_PORT"][0]
    return int(value) if value.isdecimal() and 0 < int(value) < 2**16 else int(DEFAULTS["EPICS_CA_SERVER_PORT"])


def oddities() -> list[str]:
    """What cannot be right, a sentence each."""
    values = {name: value for name, (value, _) in in_force().items()}
    found = []
    for name in ("EPICS_CA_SERVER_PORT", "EPICS_CA_REPEATER_PORT"):
        if not values[name].isdecimal() or not 0 < int(values[name]) < 2**16:
            found.append(f"{name}={values[name]} is no port; {DEFAULTS[name]} is taken")
    if values["EPICS_CA_AUTO_ADDR_LIST"].upper() == "NO" and not (
        values["EPICS_CA_ADDR_LIST"] or values["EPICS_CA_NAME_SERVERS"]
    ):
        found.append("EPICS_CA_AUTO_ADDR_LIST=NO and EPICS_CA_ADDR_LIST is empty: nobody is asked for anything")
    longest = values["EPICS_CA_MAX_ARRAY_BYTES"]
    if values["EPICS_CA_AUTO_ARRAY_BYTES"].upper() == "NO" and not (
        longest.isdecimal() and int(longest) >= LONGEST_BYTES
    ):
        found.append(
            f"EPICS_CA_MAX_ARRAY_BYTES={longest} is the limit, as EPICS_CA_AUTO_ARRAY_BYTES=NO: long texts like GRAPH "
            f"cannot be read; export EPICS_CA_MAX_ARRAY_BYTES={LONGEST_BYTES + 16}"
        )
    return found


def address_list(more: Sequence[str]) -> str:
    """EPICS_CA_ADDR_LIST with these addresses too; what is found today is found with it as well."""
    return " ".join(dict.fromkeys([*os.environ.get("EPICS_CA_ADDR_LIST", "").split(), *more]))


def export_line(more: Sequence[str]) -> str:
    """To be pasted into a shell."""
    return f"export EPICS_CA_ADDR_LIST={shlex.quote(address_list(more))}"
