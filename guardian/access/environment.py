"""What the environment says about the channels of user code: ``EZCA_CA`` and ``EZCA_TIMEOUT``, as for LIGO's ezca.

=================================  =====================================================================
``EZCA_CA``                        what becomes of channels
=================================  =====================================================================
``ENABLE``, ``TRUE``, ``ON``, ""   the usual
``READONLY``                       nothing is written
``DISABLE``, ``FALSE``, ``OFF``    nothing is written, no network is touched, and every read gives NaN
``NOFAIL``                         one that is not connected is read as NaN and not written, without error
=================================  =====================================================================

Nodes are commanded by writes, so ``READONLY`` commands none. Upper and lower case are the same. ``EZCA_TIMEOUT`` is a
number of seconds, 2 where it is not set.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from guardian.errors import EzcaError

TIMEOUT_S = 2.0
_LONGEST_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What is done with channels.

    Parameters
    ----------
    said : what a node says of it at the start, "" of the usual.
    """

    reads: bool = True
    writes: bool = True
    fails: bool = True
    said: str = ""


_USES = {
    **dict.fromkeys(("", "ENABLE", "TRUE", "ON"), Use()),
    "READONLY": Use(writes=False, said="EZCA_CA=READONLY: nothing is written to channels, no node is commanded"),
    **dict.fromkeys(
        ("DISABLE", "FALSE", "OFF"),
        Use(reads=False, writes=False, said="EZCA_CA=DISABLE: channels are read as NaN, and nothing is written"),
    ),
    "NOFAIL": Use(fails=False, said="EZCA_CA=NOFAIL: channels that are not connected are read as NaN, without error"),
}


def use(environ: Mapping[str, str] | None = None) -> Use:
    """What ``EZCA_CA`` says.

    Raises
    ------
    EzcaError
        It has none of the values above.
    """
    said = (os.environ if environ is None else environ).get("EZCA_CA", "")
    try:
        return _USES[said.strip().upper()]
    except KeyError:
        raise EzcaError(
            f"EZCA_CA={said!r} in the environment is not known; use ENABLE, READONLY, DISABLE or NOFAIL, or unset it"
        ) from None


def timeout_s(environ: Mapping[str, str] | None = None) -> float:
    """Seconds that ``EZCA_TIMEOUT`` gives an operation.

    Raises
    ------
    EzcaError
        It is no number of seconds between 0 and 3600.
    """
    said = (os.environ if environ is None else environ).get("EZCA_TIMEOUT", "").strip()
    try:
        seconds = float(said) if said else TIMEOUT_S
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _LONGEST_S:
        raise EzcaError(
            f"EZCA_TIMEOUT={said!r} in the environment is no number of seconds above 0 and up to "
            f"{_LONGEST_S:.0f}; correct or unset it"
        )
    return seconds
