"""The functions of libca that a channel needs, on the library and the one context that pyepics makes.

pyepics finds and initialises the library, as user code that calls pyepics itself expects. Its ``PV`` is passed by, for
three reasons: it drops the status of a put-callback, so a refused write looks like a success; a ``get`` interrupted at
the wrong moment leaves a marker that makes every later one time out; its waits poll the library in a tight Python loop.
What is needed instead is small: create, subscribe, get, put, clear.

Source: cadef.h, caerr.h and caeventmask.h of EPICS base, the same in 3.16 (which pyepics carries) and 7.
"""

from __future__ import annotations

import ctypes
from typing import Any

from guardian.access.repeater import as_if_repeated

#: CA_OP_CONN_UP, ECA_NORMAL, ECA_DISCONN, cs_conn, DBE_VALUE | DBE_ALARM
UP = 6
NORMAL = 1
DISCONNECTED = 192
CONNECTED = 2
VALUE_OR_ALARM = 1 | 4


class _ConnectionArgs(ctypes.Structure):
    _fields_ = [("channel", ctypes.c_void_p), ("what", ctypes.c_long)]


class _EventArgs(ctypes.Structure):
    _fields_ = [
        ("user", ctypes.c_void_p),
        ("channel", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("data", ctypes.c_void_p),
        ("status", ctypes.c_int),
    ]


ConnectionCallback = ctypes.CFUNCTYPE(None, _ConnectionArgs)
EventCallback = ctypes.CFUNCTYPE(None, _EventArgs)

_long, _ulong, _ptr = ctypes.c_long, ctypes.c_ulong, ctypes.c_void_p
_PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ca_create_channel": (ctypes.c_int, (ctypes.c_char_p, ConnectionCallback, _ptr, ctypes.c_uint, _ptr)),
    "ca_clear_channel": (ctypes.c_int, (_ptr,)),
    "ca_create_subscription": (ctypes.c_int, (_long, _ulong, _ptr, _long, EventCallback, _ptr, _ptr)),
    "ca_clear_subscription": (ctypes.c_int, (_ptr,)),
    "ca_array_get_callback": (ctypes.c_int, (_long, _ulong, _ptr, EventCallback, _ptr)),
    "ca_array_put_callback": (ctypes.c_int, (_long, _ulong, _ptr, _ptr, EventCallback, _ptr)),
    "ca_array_put": (ctypes.c_int, (_long, _ulong, _ptr, _ptr)),
    "ca_flush_io": (ctypes.c_int, ()),
    "ca_field_type": (ctypes.c_short, (_ptr,)),
    "ca_element_count": (_ulong, (_ptr,)),
    "ca_read_access": (ctypes.c_uint, (_ptr,)),
    "ca_write_access": (ctypes.c_uint, (_ptr,)),
    "ca_state": (ctypes.c_int, (_ptr,)),
    "ca_message": (ctypes.c_char_p, (_long,)),
}


class Library:
    """The library with its context, which making this object creates: two threads that wake 65 times a second."""

    def __init__(self) -> None:
        from epics import ca

        with as_if_repeated():
            ca.use_initial_context()
            # libca looks for a repeater when it makes its first channel, not before.
            ca.clear_channel(ca.create_channel("repeater", auto_cb=False))
        self._ca: Any = ca
        # A handle of its own: prototypes set here do not reach what pyepics calls.
        self.call: Any = ctypes.CDLL(ca.libca._name)
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(self.call, name)
            function.restype, function.argtypes = result, arguments

    def attach(self) -> None:
        """Give the calling thread the one context. Any thread may use any channel after this."""
        current = self._ca.current_context()
        if current != self._ca.initial_context:
            if current is not None:
                self._ca.detach_context()
            self._ca.attach_context(self._ca.initial_context)

    def message(self, status: int) -> str:
        """What libca says a status means."""
        text: bytes = self.call.ca_message(status)
        return text.decode("latin-1")
