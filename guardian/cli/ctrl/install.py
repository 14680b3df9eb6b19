"""``guardctrl install [SITE...]``: make hosts of this machine services of systemd.

Writes the unit ``guardhost@.service`` (`guardian.cli.unit`), once for all sites, and on request a link to a site file.
A unit that is as an older version wrote it is replaced; one that somebody has changed is not, before ``--force``.
Nothing is started: what to type next is printed.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import pwd
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from guardian.cli import unit
from guardian.cli.ctrl import WrongCall, prepare, say
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.errors import ExpectedError
from guardian.host.places import SYSTEM_SITES
from guardian.host.reading import read_bytes

_ABOUT = """\
Writes the unit guardhost@.service of systemd, and says what to type next. SITE: the name of a site file, X1 for
/etc/guardian/X1.toml. --site FILE: that one, under the name that it has; a link is made where site files of services
are. Run it again after an upgrade."""
#: The user who runs the nodes where nobody says who.
RUN_AS = "guardian"
SYSTEM_UNITS = Path("/etc/systemd/system")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A file that this order is about.

    Parameters
    ----------
    do : "write", "replace", "link" or "keep" (it is so already). to : what a link leads to.
    why_not : a sentence, if it must not be done without --force. text : its new content; old : the present one.
    """

    path: Path
    do: str
    to: str = ""
    why_not: str = ""
    text: str = ""
    old: str = ""

    def difference(self) -> Iterator[str]:
        """From the present content to the new one."""
        return difflib.unified_diff(
            self.old.splitlines(), self.text.splitlines(), f"{self.path} (now)", f"{self.path} (new)", lineterm="", n=1
        )

    def take(self) -> None:
        """Do it. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        if self.to:
            fresh.symlink_to(self.to)
        else:
            fresh.write_text(self.text, encoding="utf-8")
        fresh.replace(self.path)


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _install, about=_ABOUT)
    order.add_argument("sites", nargs="*", metavar="SITE", help="name of a site file, without .toml")
    order.add_argument("--user", action="store_true", help="services of yours, not of the machine: needs no root")
    order.add_argument(
        "--run-as", metavar="USER", help=f"who runs the nodes (default: as installed before, else {RUN_AS})"
    )
    order.add_argument("--dry-run", action="store_true", help="show what would be written, and write nothing")
    order.add_argument("--force", action="store_true", help="replace files that somebody has changed, too")


def _install(options: argparse.Namespace) -> int:
    steps, names = _planned(options)
    refused = [step for step in steps if step.why_not and not options.force]
    if not refused and not options.dry_run:
        for step in steps:
            _take(step, user=options.user)
    done = not refused and not options.dry_run
    then = list(_next(names, user=options.user))
    if options.json:
        facts = [{k: str(v) for k, v in asdict(step).items() if k != "old"} | {"done": done} for step in steps]
        print(json.dumps(facts))
    for step in refused:
        say(step.why_not)
    if not options.json:
        _show(steps, refused, dry_run=options.dry_run)
        if not refused:
            print("next:" if done else "then:", *(f"    {line}" for line in then), sep="\n")
    return FAILED if refused else OK


def _planned(options: argparse.Namespace) -> tuple[list[Step], list[str]]:
    """What is to be written, and the names of the sites. Their files are read, and must be right."""
    units, folder = _places(user=options.user)
    steps, names = [], list(options.sites)
    if options.site:
        names.append(options.site.stem)
    for name in names:
        if not _NAME.fullmatch(name):
            raise WrongCall(f"a site cannot be called {name!r} as a service; use letters, digits, _ - and .")
    if options.site:
        _read(options.site)
        steps += _link(folder / f"{options.site.stem}.toml", options.site)
    for name in options.sites:
        path = folder / f"{name}.toml"
        if not path.exists():
            raise WrongCall(f"there is no site file {path}; write it, or link yours: guardctrl install --site FILE")
        _read(path)
    path = units / unit.NAME
    old = _present(path)
    run_as = "" if options.user else _run_as(options.run_as or unit.run_as_of(old) or RUN_AS)
    text = unit.unit(command=_guardhost(), run_as=run_as, user=options.user)
    if path.is_symlink() and not path.is_file():
        why = (
            f"{path} is a link to {path.readlink()}: somebody wants no such service (systemctl mask), or its file is "
            "gone. systemctl unmask takes that back; or replace it with --force"
        )
        steps.append(Step(path=path, do="replace", text=text, why_not=why))
    elif old == text:
        steps.append(Step(path=path, do="keep", text=text))
    elif not old or unit.as_written(old):
        steps.append(Step(path=path, do="replace" if old else "write", text=text, old=old))
    else:
        why = (
            f"{path} was changed by somebody. Put the changes into a file of their own (systemctl edit), or replace it "
            "with --force; the difference is shown"
        )
        steps.append(Step(path=path, do="replace", text=text, old=old, why_not=why))
    return steps, names


def _places(*, user: bool) -> tuple[Path, Path]:
    """Where units are, and where site files of services are."""
    if not user:
        return SYSTEM_UNITS, SYSTEM_SITES
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return config / "systemd" / "user", config / "guardian"


def _read(path: Path) -> None:
    from guardian.host.site import read_site

    try:
        read_site(path)
    except ExpectedError as error:
        raise WrongCall(str(error)) from None


def _present(path: Path) -> str:
    """What a unit says now; "" if there is none."""
    try:
        return read_bytes(path).decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ExpectedError(f"{path} cannot be read: {error.strerror}; move it away, then install again") from None


def _link(path: Path, to: Path) -> list[Step]:
    """A link, as paths in a site file begin where the file is."""
    target = to.resolve()
    if path.absolute() == to.absolute():
        return []
    if path.is_symlink() or path.exists():
        if os.path.realpath(path) == str(target):  # resolve() raises where links lead in a circle
            return [Step(path=path, do="keep", to=str(target))]
        why = f"{path} is there already, and is not {target}; remove it, or replace it with --force"
        return [Step(path=path, do="link", to=str(target), why_not=why)]
    return [Step(path=path, do="link", to=str(target))]


def _run_as(name: str) -> str:
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise WrongCall(
            f"there is no user {name} to run the nodes; say who does with --run-as USER, or make him: "
            f"useradd --system {name}"
        ) from None
    return name


def _guardhost() -> str:
    """That of this installation."""
    path = Path(sys.executable).absolute().with_name("guardhost")
    if not path.exists():
        raise ExpectedError(f"{path} is not there; install the package, then the command is beside {sys.executable}")
    return str(path)


def _take(step: Step, *, user: bool) -> None:
    if step.do == "keep":
        return
    try:
        step.take()
    except OSError as error:
        hint = "" if user else "; be root (sudo), or make it a service of yours: --user"
        raise ExpectedError(f"{step.path} is not written: {error.strerror}{hint}") from None


def _show(steps: list[Step], refused: list[Step], *, dry_run: bool) -> None:
    for step in steps:
        if step in refused:
            print(*step.difference(), sep="\n")
        elif step.do == "keep":
            print(f"{step.path} is as it should be")
        else:
            would = "would be " if dry_run else ""
            made = {"write": "written", "replace": "replaced", "link": f"a link to {step.to}"}[step.do]
            print(f"{step.path} {would or 'is '}{made}")
            if dry_run and step.text:
                print(*(step.difference() if step.old else step.text.splitlines()), sep="\n")


def _next(names: list[str], *, user: bool) -> Iterator[str]:
    ctl = "systemctl --user" if user else "systemctl"
    yield f"{ctl} daemon-reload"
    for name in names or ["SITE"]:
        yield f"{ctl} enable --now guardhost@{name}"
    for name in names[:1]:
        yield f"{ctl} status guardhost@{name}"
    if user:
        yield "loginctl enable-linger    # so that it runs while you are not logged in"
