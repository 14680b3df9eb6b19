"""A reader who does what a page says, from top to bottom, and looks whether it shows what the page shows.

What differs between two runs and two machines is told apart by its look: digits of a time are any digits, ``/home/you``
is any folder, ``you@lab`` anybody, ``port 5064`` any port; ``...`` is anything, and alone on a line any lines. What
ends says what is shown and nothing else. What goes on says more; the lines shown must come, in the order of their times
(a node and its code speak through two pipes), later than what was shown before the last thing that the reader did.
Lines that only read (``caget``) are repeated until they show it: readers type slower than tests. In a session, what
stands behind a prompt is typed when the program asks, and what the terminal shows in the end must be what the page
shows. The port 8090, which pages give to a hub, is a free one.
"""

from __future__ import annotations

import ast
import re
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tests.support.child import Child
from tests.support.net import free_port
from tests.support.page import Page, Step
from tests.support.terminal import on_terminal
from tests.support.waiting import eventually

#: What a page shows -> what it stands for.
_VARIES = {
    r"\d{4}-\d\d-\d\d[ _T]\d\d:\d\d:\d\d(?:\.\d+)?Z?": r"\d{4}-\d\d-\d\d[ _T]\d\d:\d\d:\d\d(?:\.\d+)?Z?",
    r"\d\d:\d\d:\d\dZ": r"\d\d:\d\d:\d\dZ",
    r"\d{10}(?:\.\d+)?": r"\d{10}(?:\.\d+)?",
    r"(?<=EXECTIME) +\d+\.\d\d": r"\s+[1-9]\d*\.\d\d",
    r"/home/you[\w/.-]*": r"/[\w/.-]+",
    r"you@lab": r"[^\s@]+@\S+",
    r"port 5064": r"port \d+",
    r"\.\.\.": r".*?",
    r"\s+": r"\s+",
}
_HUB = "8090"
#: What a program prints before it waits for the reader: Python's debugger, and its shell.
_PROMPT = re.compile(r"\(Pdb\) |>>> ")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ _]\S+")
_ANY = re.compile("|".join(f"({shown})" for shown in _VARIES))


def pattern_of(line: str) -> str:
    """The regular expression of one line that a page shows."""
    parts, at = [], 0
    for match in _ANY.finditer(line.strip()):
        parts += [re.escape(line.strip()[at : match.start()]), list(_VARIES.values())[match.lastindex - 1]]
        at = match.end()
    return "".join(parts) + re.escape(line.strip()[at:])


def shows(shown: str, output: str) -> bool:
    """Whether `output` is all that `shown` shows, and nothing else."""
    lines = [
        r"(?:.*\n)*?" if line.strip() == "..." else rf"[ ]*{pattern_of(line)}[ ]*\n" for line in shown.splitlines()
    ]
    return re.fullmatch("".join(lines), output if output.endswith("\n") else output + "\n") is not None


class Reader:
    """Follows a page.

    Parameters
    ----------
    folder : where the reader is. environ : of all shells. child : makes a child that is gone after the test.
    patience_s : how long a reader waits for what a page shows.
    """

    def __init__(
        self,
        page: Page,
        folder: Path,
        environ: Mapping[str, str],
        child: Callable[..., Child],
        *,
        patience_s: float = 60,
    ) -> None:
        self._page = page
        self._folder = folder
        self._environ = environ
        self._child = child
        self._patience_s = patience_s
        self._hub = str(free_port())
        self._said: dict[str, tuple[Callable[[], str], float]] = {}
        self._going: dict[str, Child] = {}
        self._shown: dict[str, str] = {}  # who goes on -> the latest line that was shown
        self._before: dict[str, str] = {}  # the same, before the reader did what was done last

    def follow(self) -> None:
        """Do all of it."""
        left_out = False
        for written in self._page.steps:
            step = replace(written, text=written.text.replace(_HUB, self._hub))
            if step.kind != "shows":
                self._before = dict(self._shown)
            try:
                if step.kind == "needs":
                    left_out = shutil.which(step.name) is None
                elif left_out:
                    left_out = False
                else:
                    getattr(self, f"_{step.kind}")(step)
            except BaseException as error:
                error.add_note(f"{self._page.path.name}:{step.line}: {step.kind} {step.name}")
                for name, going in self._going.items():
                    error.add_note(f"meanwhile {name}: {going.report()}")
                raise

    def _file(self, step: Step) -> None:
        (self._folder / step.name).write_text(step.text)

    def _change(self, step: Step) -> None:
        file = self._folder / step.name
        file.write_text(merged(file.read_text(), step.text))

    def _run(self, step: Step, *, well: bool = True) -> None:
        def once() -> str:
            shell = self._child(["sh", "-e", "-c", step.text], env=self._environ, cwd=self._folder)
            assert (shell.wait(self._patience_s) == 0) == well, shell.report()
            return shell.output

        said = once()
        only_reads = all(line.startswith("caget ") for line in step.text.splitlines())
        self._said[step.name] = (once, self._patience_s) if only_reads else (lambda: said, 0)

    def _fails(self, step: Step) -> None:
        self._run(step, well=False)

    def _start(self, step: Step) -> None:
        self._going[step.name] = self._child(["sh", "-c", f"exec {step.text}"], env=self._environ, cwd=self._folder)

    def _shows(self, step: Step) -> None:
        going = self._going.get(step.name)
        if going is None:
            said, patience_s = self._said[step.name]
            eventually(lambda: _compare(step.text, said()), patience_s, f"what {step.name} shows", period_s=0.2)
            return
        before = self._before.get(step.name, "")
        last = eventually(
            lambda: _last_shown(step.text, _after(before, going.output)), self._patience_s, f"what {step.name} shows"
        )
        self._shown[step.name] = max(self._shown.get(step.name, ""), last, key=_time)

    def _session(self, step: Step) -> None:
        first, *lines = step.text.splitlines()
        argv = on_terminal(["sh", "-c", f"exec {first.removeprefix('$ ')}"])
        there = self._child(argv, stdin=True, env={**self._environ, "TERM": "dumb"}, cwd=self._folder)
        seen = 0
        for line in lines:
            if asked := _PROMPT.match(line):
                there.wait_for(rf"^{re.escape(asked[0])}\Z", self._patience_s, start=seen)
                seen = len(there.output)
                there.send(line[asked.end() :] + "\n")
        assert there.wait(self._patience_s) == 0, there.report()
        _compare("\n".join(lines), there.output.replace("\r\n", "\n"))

    def _end(self, step: Step) -> None:
        going = self._going.pop(step.name)
        going.signal(signal.SIGINT)
        going.wait(self._patience_s)


def _time(line: str) -> str:
    found = _TIME.search(line)
    return found[0] if found else ""


def _after(seen: str, output: str) -> list[str]:
    """The lines behind the line `seen`, by the time that stands in them."""
    lines = sorted(output.splitlines(), key=_time)
    return lines[lines.index(seen) + 1 :] if seen else lines


def _last_shown(shown: str, lines: list[str]) -> str:
    """The line that is shown last, if all that are shown come in this order among `lines`; more may stand between."""
    rest = iter(lines)
    for wanted in shown.splitlines():
        if wanted.strip() == "...":
            continue
        regex = re.compile(pattern_of(wanted))
        last = next((line for line in rest if regex.match(line)), None)
        if last is None:
            raise AssertionError(f"no line {wanted!r} among\n" + "\n".join(lines))
    return last


def _compare(shown: str, said: str) -> bool:
    if not shows(shown, said):
        raise AssertionError(f"the page shows\n{shown}\nand it says\n{said}")
    return True


def merged(source: str, changes: str) -> str:
    """A module with what `changes` defines in place of what has the same name; what is new goes to the end.

    New imports go to the top.
    """
    lines, new = source.splitlines(), changes.splitlines()
    for name, span in _spans(new).items():
        old = _spans(lines).get(name)
        if old is not None:
            lines[old] = new[span]
        elif name.startswith(_IMPORTS):
            first = next(at.start for there, at in _spans(lines).items() if there.startswith(_IMPORTS))
            lines[first:first] = new[span]
        else:
            lines += ["", "", *new[span]]
    return "\n".join(lines) + "\n"


_IMPORTS = ("import ", "from ")


def _spans(lines: list[str]) -> dict[str, slice]:
    """Name -> lines of what a module defines at its top: classes, functions, variables, imports."""
    found = {}
    for node in ast.parse("\n".join(lines)).body:
        first = node.lineno
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            name, first = node.name, min([first, *(decorator.lineno for decorator in node.decorator_list)])
        elif isinstance(node, (ast.Assign, ast.Import, ast.ImportFrom)):
            name = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node)
        else:
            continue
        found[name] = slice(first - 1, node.end_lineno)
    return found
