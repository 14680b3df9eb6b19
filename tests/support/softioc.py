"""A real EPICS base IOC, from the package index: ``epicscorelibs`` carries the C libraries, this runs them in a child.

The same file is both sides: :class:`SoftIoc` in the test, and the program of the child (run by path, so it needs no
package and no working directory). Start-up takes about a second, nearly all of it epicscorelibs reading its .dbd files.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import TracebackType

READY = "SOFTIOC READY"


class SoftIoc:
    """Context manager round a softIoc that serves ``db`` on ``port`` of 127.0.0.1.

    Parameters
    ----------
    db : text of a database (records), macros already expanded or named in ``macros``.
    port : CA port.
    acf : text of an access security file; "" leaves everything writable.
    macros : ``NAME=value,NAME=value``.
    """

    def __init__(self, db: str, port: int, *, acf: str = "", macros: str = "", timeout_s: float = 60) -> None:
        from tests.support.child import Child
        from tests.support.net import ca_env

        self.port = port
        self._directory = tempfile.TemporaryDirectory(prefix="softioc")
        directory = Path(self._directory.name)
        (directory / "ioc.db").write_text(db)
        argv = [sys.executable, __file__, str(directory / "ioc.db"), macros]
        if acf:
            (directory / "ioc.acf").write_text(acf)
            argv.append(str(directory / "ioc.acf"))
        # stdin stays open as long as we live: the IOC ends with it, also when this process is killed.
        self.child = Child(argv, env=ca_env(port), cwd=directory, stdin=True)
        try:
            self.child.wait_for(READY, timeout_s)
        except AssertionError:
            self.close()
            raise

    def close(self) -> None:
        """Stop it and remove its files."""
        self.child.close()
        self._directory.cleanup()

    def __enter__(self) -> SoftIoc:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is not None:
            error.add_note(self.child.report())
        self.close()


def _main(db: str, macros: str, acf: str = "") -> None:
    from epicscorelibs import ioc

    ioc.iocshRegisterCommon()
    if acf:
        ioc.ioc(f"asSetFilename {acf}")
    ioc.start_ioc(db, macros)
    print(READY, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _main(*sys.argv[1:])
