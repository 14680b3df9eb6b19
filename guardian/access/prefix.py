"""From the name user code writes to the name on the network. Pure.

The rule is that of LIGO's ezca (``ligo_channel_prefix``), so that modules of the field keep working:

==========  ============  ==============  =====================
ifo         prefix        full prefix     ``ezca['X']`` is
==========  ============  ==============  =====================
``X1``      ``''``        ``X1:``         ``X1:X``
``X1``      ``SUS``       ``X1:SUS-``     ``X1:SUS-X``
``X1``      ``SUS-ETMX``  ``X1:SUS-ETMX_``  ``X1:SUS-ETMX_X``
``X1``      ``SUS_``      ``X1:SUS_``     ``X1:SUS_X``
``''``      ``SUS``       ``SUS-``        ``SUS-X``
==========  ============  ==============  =====================

A name that begins with ``:`` leaves the subsystem: ``ezca[':PSL-POWER']`` is ``X1:PSL-POWER``. A name that begins with
the ifo is *not* special (``ezca['X1:SUS-X']`` becomes ``X1:SUS-X1:SUS-X``): it is not in the field either, and a rule
that guesses would hide the mistake.
"""

from __future__ import annotations

_DELIMITERS = "-_"


def channel_prefix(ifo: str, prefix: str = "") -> str:
    """The full prefix of a system's channels.

    Parameters
    ----------
    ifo : the machine, ``X1``; empty where names have no such part. A trailing colon is ignored.
    prefix : the subsystem, ``SUS`` or ``SUS-ETMX``; parts after the second are dropped, as in ezca. A trailing ``-`` or
        ``_`` is the delimiter to use, else the rule of the table above chooses. An ifo in front (``X1:SUS``) is used
        if `ifo` is empty.
    """
    own, colon, subsystem = prefix.partition(":")
    if not colon:
        own, subsystem = "", prefix
    machine = (ifo or own).upper().rstrip(":")
    root = f"{machine}:" if machine else ""
    parts = subsystem.upper().strip(_DELIMITERS).split("-")
    if not parts[0]:
        return root
    compound = len(parts) > 1 and parts[1] != ""
    delimiter = subsystem[-1] if subsystem[-1] in _DELIMITERS else "_" if compound else "-"
    return root + ("-".join(parts[:2]) if compound else parts[0]) + delimiter


def own_prefix(ifo: str | None, prefix: str | None) -> tuple[str, str]:
    """Machine and subsystem of what user code makes with ``Ezca(prefix, ifo)``, for :func:`channel_prefix`.

    Parameters
    ----------
    ifo : None or empty: the machine is in `prefix`, in front of a colon, or all of it.
    """
    own, colon, subsystem = (prefix or "").partition(":")
    if not colon:
        own, subsystem = "", own
    machine = ifo or own
    return (machine, subsystem) if machine else (subsystem, "")


def full_name(ifo: str, full_prefix: str, name: str) -> str:
    """The name on the network of the channel that user code calls `name`."""
    if not name.startswith(":"):
        return full_prefix + name
    machine = ifo.upper().rstrip(":")
    return f"{machine}{name}" if machine else name[1:]
