"""A filter module of LIGO's front ends, as the package ``ezca`` emulates it with pcaspy, in a process of its own.

The same file is both sides: :class:`FilterModule` in the test, and the program of the child (run by path).
"""

from __future__ import annotations

import sys
from types import TracebackType

READY = "FILTER MODULE READY"


class FilterModule:
    """Context manager round an emulated filter module.

    Parameters
    ----------
    name : full name of the module, as ``X1:SUS-MC1``; its channels are ``X1:SUS-MC1_GAIN`` and so on.
    port : CA port.
    """

    def __init__(self, name: str, port: int, *, timeout_s: float = 60) -> None:
        from tests.support.child import Child
        from tests.support.net import ca_env

        self.child = Child([sys.executable, __file__, f"{name}_"], env=ca_env(port))
        try:
            self.child.wait_for(READY, timeout_s)
        except AssertionError:
            self.close()
            raise

    def close(self) -> None:
        """Stop it."""
        self.child.close()

    def __enter__(self) -> FilterModule:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is not None:
            error.add_note(self.child.report())
        self.close()


def _main(prefix: str) -> None:
    from ezca.emulators import ligofilter

    class Server(ligofilter.SimpleServer):
        """Says when it serves; the emulator says nothing."""

        said = False

        def process(self, seconds: float) -> None:
            if not self.said:
                self.said = True
                print(READY, flush=True)
            super().process(seconds)

    ligofilter.SimpleServer = Server
    ligofilter.start_emulator(prefix)


if __name__ == "__main__":
    _main(*sys.argv[1:])
