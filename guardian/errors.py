"""Every exception of the house. A leaf: imports nothing of ours.

``ExpectedError`` is the operator's business and is shown as one line; ``NodeError`` is a fault of user code and is
shown with the user's traceback; ``InternalError`` is ours. A message says what was asked, what was found, and what to
do next.
"""


class GuardianError(Exception):
    """Base of all errors of this package."""


class ExpectedError(GuardianError):
    """Something the operator or the caller can put right: shown as one line, without a traceback."""


class NodeError(GuardianError):
    """User code is at fault: shown with the traceback of the user's code."""


class InternalError(GuardianError):
    """A fault of this package. Please report it."""


class GraphError(ExpectedError):
    """A state graph that cannot be used.

    Parameters
    ----------
    faults : every fault found, one sentence each; the message joins them with "; ".
    """

    def __init__(self, faults: list[str] | tuple[str, ...]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))


class RefusedError(ExpectedError):
    """A write that is not accepted: the value stays as it was and the writer is told why."""


class SystemLoadError(ExpectedError):
    """A system module cannot be found, imported or used. ``details`` holds the user's traceback, or ""."""

    def __init__(self, message: str, details: str = "") -> None:
        self.details = details
        super().__init__(message)


class LinkError(InternalError):
    """A message between host and worker that cannot be read."""


class EzcaError(GuardianError):
    """A channel access operation failed although the channel is connected."""


class EzcaConnectError(GuardianError):
    """A channel is not connected. Not a subclass of :class:`EzcaError`, as in the field.

    Parameters
    ----------
    message : the sentence shown.
    channels : full names of the channels that are not connected; empty when unknown.
    """

    def __init__(self, message: str = "", channels: tuple[str, ...] = ()) -> None:
        self.channels = channels
        super().__init__(message)


class ExosError(GuardianError):
    """Base of the errors of `guardian.health`, named as in the field its interface comes from."""


class DeadlockDetectedError(ExosError):
    """A thread was about to wait for what only itself can bring about. Nothing was waited for, nothing is held."""


class Interrupted(BaseException):
    """Raised inside user code when its method must end now (STOP, or a redirect). Not an Exception on purpose."""
