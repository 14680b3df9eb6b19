"""What each colour on a screen means, and which it is.

The colours of a node are those that users of Guardian know from their MEDM screens. They are colours of MEDM's own map,
of which the strip uses no other: a display that is embedded is drawn in the map of the one around it. States are
coloured as in the pictures of their graph.

Colour is never alone: beside each stands a word, or it has a place of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from guardian.core import drawing


class Role(Enum):
    """What a colour is for."""

    PAGE = auto()  #: what all stands on
    BAR = auto()  #: behind the title of a screen, and of a group on it
    ON_BAR = auto()  #: words on it
    TEXT = auto()
    FAINT = auto()  #: words that say what stands beside them
    FIELD = auto()  #: behind a value
    INPUT = auto()  #: behind a value that can be typed
    BUTTON = auto()
    STATE = auto()  #: behind the present state
    LINE = auto()  #: round shapes

    UNKNOWN = auto()  #: nothing is known: the node does not answer
    AUTO = auto()
    MANAGED = auto()
    MANUAL = auto()
    CONNECT = auto()  #: it waits for a channel
    PAUSE = auto()
    STOP = auto()
    ERROR = auto()

    OFF = auto()  #: a lamp that is off
    GOOD = auto()
    LOOK = auto()  #: somebody should look
    AWAY = auto()  #: not where it should be

    PLAIN = auto()  #: a state that is not on the menu
    REQUESTABLE = auto()
    GOTO = auto()
    IS_STATE = auto()  #: the rings round a state
    IS_REQUEST = auto()
    IS_NOMINAL = auto()


#: MEDM's own map of colours, in its order: an .adl file names a colour by its place in it.
MEDM: tuple[str, ...] = (
    *("ffffff", "ececec", "dadada", "c8c8c8", "bbbbbb", "aeaeae", "9e9e9e", "919191", "858585", "787878", "696969"),
    *("5a5a5a", "464646", "2d2d2d", "000000", "00d800", "1ebb00", "339900", "2d7f00", "216c00", "fd0000", "de1309"),
    *("be190b", "a01207", "820400", "5893ff", "597ee1", "4b6ec7", "3a5eab", "27548d", "fbf34a", "f9da3c", "eeb62b"),
    *("e19015", "cd6100", "ffb0ff", "d67fe2", "ae4ebc", "8b1a96", "610a75", "a4aaff", "8793e2", "6a73c1", "4d52a4"),
    *("343386", "c7bb6d", "b79d5c", "a47e3c", "7d5627", "58340f", "99ffff", "73dfff", "4ea5f9", "2a63e4", "0a00b8"),
    *("ebf1b5", "d4db9d", "bbc187", "a6a462", "8b8239", "73ff6b", "52da3b", "3cb420", "289315", "1a7309"),
)

#: Which colour: six hexadecimal digits.
PALETTE: Mapping[Role, str] = {
    Role.PAGE: "dadada",
    Role.BAR: "464646",
    Role.ON_BAR: "ffffff",
    Role.TEXT: "000000",
    Role.FAINT: "464646",
    Role.FIELD: "ececec",
    Role.INPUT: "ffffff",
    Role.BUTTON: "c8c8c8",
    Role.STATE: "5893ff",
    Role.LINE: "5a5a5a",
    Role.UNKNOWN: "ffffff",
    Role.AUTO: "27548d",
    Role.MANAGED: "8b1a96",
    Role.MANUAL: "ffb0ff",
    Role.CONNECT: "820400",
    Role.PAUSE: "fbf34a",
    Role.STOP: "696969",
    Role.ERROR: "fd0000",
    Role.OFF: "9e9e9e",
    Role.GOOD: "339900",
    Role.LOOK: "fbf34a",
    Role.AWAY: "e19015",
    Role.PLAIN: drawing.PLAIN.lstrip("#"),
    Role.REQUESTABLE: drawing.REQUESTABLE.lstrip("#"),
    Role.GOTO: drawing.GOTO.lstrip("#"),
    Role.IS_STATE: "27548d",
    Role.IS_REQUEST: "e19015",
    Role.IS_NOMINAL: "339900",
}


def rgb(role: Role) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255 each."""
    red, green, blue = bytes.fromhex(PALETTE[role])
    return red, green, blue
