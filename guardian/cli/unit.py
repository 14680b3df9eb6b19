"""The systemd unit of a host, ``guardhost@SITE.service``: written in this one place, each line with its reason.

The instance is the name of the site: ``guardhost@X1`` reads ``/etc/guardian/X1.toml``, and a user's own one
``~/.config/guardian/X1.toml``.

Source: systemd.service(5), systemd.exec(5), systemd.kill(5) of systemd 252.
"""

from __future__ import annotations

import hashlib
import re
from string import Template

NAME = "guardhost@.service"

_TEXT = Template("""\
# Written by `guardctrl install`: run that again after an upgrade. What is to be otherwise on this machine belongs into
# a file beside it: `systemctl ${user_option}edit guardhost@X1` makes one for a site, `guardhost@` one for all.
[Unit]
Description=guardian host %i
Documentation=man:systemd.service(5)
$order
# A host that fails again and again is given up after ten times in ten minutes; `systemctl --failed` shows it then.
StartLimitIntervalSec=600
StartLimitBurst=10

[Service]
# READY comes when the PVs of all nodes are served; the host asks for more time as long as it comes further.
Type=notify
# With [keeper] in the site file the host is a child of the process that systemd knows, and speaks for itself.
# No worker can: the host takes the address out of their environment.
NotifyAccess=all
ExecStart=$command --site $site
# Fed while the event loop turns, the rounds are made and no watched thread is late. Twice hang_after of [keeper],
# so that the keeper comes first.
WatchdogSec=30
# 2 is a wrong call: a site file with a fault, a port that is taken. That does not pass by itself.
Restart=on-failure
RestartPreventExitStatus=2
RestartSec=2
TimeoutStartSec=90
# A node gets stop_timeout, then its worker is killed; all nodes end at the same time.
TimeoutStopSec=90
# SIGTERM goes to the host alone, which ends its nodes in good order; what is left then is killed.
KillMode=mixed
# The kernel may kill a worker for want of memory: the host starts that one again. It is no reason to end all nodes.
OOMPolicy=continue
# Three descriptors a node, one a client.
LimitNOFILE=65536
# 500 nodes are 500 processes with some threads each; the default would end at a few thousand.
TasksMax=infinity
$security
[Install]
WantedBy=$wanted
""")
_SUM = "# checksum of the lines above: "

_SYSTEM_ORDER = """\
Wants=network-online.target
After=network-online.target remote-fs.target nss-lookup.target time-sync.target"""

_SYSTEM_SECURITY = """\

User=$run_as
# Settings, journal and control socket, unless the site file has a state_dir of its own: /var/lib/guardian/%i
StateDirectory=guardian/%i
# What follows forbids what no user code of a control system needs; each line can be taken back by `systemctl edit`.
# No program that it starts gets more rights than the host has (so no sudo in user code).
NoNewPrivileges=yes
# /usr, /boot and /etc are read only. Data of an experiment is elsewhere, so "strict" would only break things.
ProtectSystem=full
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
LockPersonality=yes
# Not set, on purpose. PrivateTmp: hosts find each other by locks, on some machines in /tmp, and people exchange files
# there. PrivateDevices: user code talks to serial ports, USB and cards. ProtectHome: modules are often in a home.
# PrivateNetwork, IPAddressDeny: Channel Access. MemoryDenyWriteExecute: ctypes and numba. SystemCallFilter: libraries
# of instruments do what they like. Nice, CPUSchedulingPolicy: workers inherit them, so the host would gain nothing.
"""


def unit(*, command: str, run_as: str = "", user: bool = False) -> str:
    """The text of the unit.

    Parameters
    ----------
    command : guardhost, as an absolute path; words of systemd, so with what it needs quoted.
    run_as : the user who runs the nodes, for a unit of the system. user : it is a unit of the user himself.
    """
    text = _TEXT.substitute(
        command=quoted(command),
        user_option="--user " if user else "",
        order="" if user else f"{_SYSTEM_ORDER}",
        site=site_of(user=user),
        security="" if user else Template(_SYSTEM_SECURITY).substitute(run_as=run_as),
        wanted="default.target" if user else "multi-user.target",
    ).replace("\n\n# A host that fails", "\n# A host that fails")
    return f"{text}{_SUM}{_checksum(text)}\n"


def as_written(text: str) -> bool:
    """Whether a unit is as :func:`unit` wrote it, be it that of an older version: nobody has changed it since."""
    body, found, told = text.rpartition(_SUM)
    return bool(found) and told.strip() == _checksum(body)


def run_as_of(text: str) -> str:
    """The user who runs the nodes, as a unit says; "": it does not."""
    found = re.search(r"^User=(\S+)$", text, re.MULTILINE)
    return found[1] if found else ""


def site_of(*, user: bool) -> str:
    """The site file of an instance, as the unit names it."""
    return "%E/guardian/%i.toml" if user else "/etc/guardian/%i.toml"


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def quoted(word: str) -> str:
    """As a word of a command line of systemd."""
    word = word.replace("%", "%%").replace("$", "$$")
    if not any(letter in word for letter in " \t\"'\\"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
