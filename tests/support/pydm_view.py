"""A PyDM without a window, for tests: ``python -m tests.support.pydm_view SCREEN.ui [MACROS]``; orders come on stdin.

An order is a line of JSON, its answer a line ``answer: JSON``:

================================  ===================================================================
``["texts"]``                     what labels and fields show, by the channel or the name of each
``["click", text, n]``            press the n-th button with this text
``["grab", path]``                save what is seen
``["pixel", x, y]``               its colour there, ``#rrggbb``
================================  ===================================================================
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from typing import Any

from pydm import PyDMApplication
from pydm.display import load_file
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QAbstractButton, QLabel, QLineEdit, QWidget


def texts(display: QWidget) -> dict[str, str]:
    """By channel where there is one, else by name; of embedded displays too."""
    found: dict[str, str] = {}
    for widget in [*display.findChildren(QLabel), *display.findChildren(QLineEdit)]:
        channel = getattr(widget, "channel", None) or f"{widget.objectName()} {len(found)}"
        found[channel.removeprefix("ca://")] = widget.text()
    return found


def click(display: QWidget, text: str, number: int = 0) -> bool:
    """Whether there was such a button to press."""
    shown = text.replace("&", "&&")
    buttons = [button for button in display.findChildren(QAbstractButton) if button.text() == shown]
    if number >= len(buttons) or not buttons[number].isEnabled():
        return False
    buttons[number].click()
    return True


def main() -> None:
    macros = json.loads(sys.argv[2]) if len(sys.argv) > 2 else None
    app = PyDMApplication(use_main_window=False, command_line_args=[])
    display = load_file(sys.argv[1], macros=macros, target=None)
    display.show()
    orders: queue.Queue[list[Any]] = queue.Queue()
    threading.Thread(target=lambda: [orders.put(json.loads(line)) for line in sys.stdin], daemon=True).start()

    def obey() -> None:
        while not orders.empty():
            what, *words = orders.get()
            answer: Any = None
            if what == "texts":
                answer = texts(display)
            elif what == "click":
                answer = click(display, *words)
            elif what == "grab":
                answer = display.grab().save(*words)
            elif what == "pixel":
                answer = display.grab().toImage().pixelColor(*words).name()
            print("answer:", json.dumps(answer), flush=True)

    timer = QTimer()
    timer.timeout.connect(obey)
    timer.start(20)
    print("shown", display.width(), display.height(), flush=True)
    app.exec_()


if __name__ == "__main__":
    main()
