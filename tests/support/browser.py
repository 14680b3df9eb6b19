"""A real Chromium without a screen, driven over its DevTools socket: what an operator sees, presses and types.

Every wait has a deadline, and its failure shows what the page showed. What the browser complained of (exceptions in
scripts, what the policy of the page forbade) is kept in :attr:`Browser.complaints`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.support.child import Child
from tests.support.waiting import eventually

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium here; Debian has it in the package chromium")
#: A small machine that is busy may take so long.
PATIENCE_S = 60.0
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--no-first-run", "--no-proxy-server",
    "--remote-debugging-port=0", "--window-size=1280,800", "about:blank",
)  # fmt: skip
#: What is not typed by its own character: DevTools' name of the key, and its number.
_KEYS = {
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    "ArrowDown": 40,
    "ArrowUp": 38,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "Home": 36,
    "End": 35,
}

_FIND = """
(text, role) => {
  const named = (one) => (one.getAttribute("aria-label") || one.innerText || one.value || "").trim();
  const kinds = {button: "button", link: "a[href]", label: "label", "": "a, button, label, [role]"};
  const roots = document.querySelector("dialog[open]") ?? document;
  const all = [...roots.querySelectorAll(kinds[role] ?? `[role=${role}]`)].filter((one) => one.checkVisibility());
  return all.find((one) => named(one) === text) ?? all.find((one) => named(one).includes(text));
}
"""


class Browser:
    """One page of a Chromium of its own.

    Parameters
    ----------
    folder : for the profile.
    """

    def __init__(self, folder: Path) -> None:
        assert PROGRAM is not None
        env = {"HOME": str(folder), "TMPDIR": str(folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        self.child = Child([PROGRAM, f"--user-data-dir={folder}/profile", *OPTIONS], env=env, cwd=folder)
        self.complaints: list[str] = []
        self._number = 0
        self._socket: ClientConnection | None = None
        self._open = contextlib.ExitStack()
        self._session = ""

    def __enter__(self) -> Browser:
        try:
            address = self.child.wait_for(r"DevTools listening on (ws://\S+)", PATIENCE_S)[1]
            speaking = connect(address, max_size=None, open_timeout=PATIENCE_S, proxy=None)
            self._socket = self._open.enter_context(speaking)
            target = self._call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                self._call(f"{domain}.enable")
        except BaseException:
            self._open.close()
            self.child.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is not None:
            with contextlib.suppress(Exception):
                error.add_note(f"--- the page showed:\n{self.text()}\n--- complaints: {self.complaints}")
        self._open.close()
        self.child.close()

    # -- what it shows -------------------------------------------------------------------------------------------------

    def eval(self, script: str) -> Any:
        """The value of an expression, of a promise once it is kept."""
        told = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise AssertionError(f"{script}\n{_exception(told['exceptionDetails'])}")
        return told["result"].get("value")

    def text(self, selector: str = "body") -> str:
        """What can be read there; "" where nothing is seen."""
        return str(self.eval(_seen(selector)))

    def wait(self, script: str, what: str = "", timeout_s: float = PATIENCE_S) -> Any:
        """Until an expression is true; its value."""
        try:
            return eventually(lambda: self.eval(script), timeout_s, what or script, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- the page shows:\n{self.text()}\n{self.complaints}") from None

    def wait_text(self, text: str, selector: str = "body", timeout_s: float = PATIENCE_S) -> None:
        """Until it can be read there."""
        self.wait(f"{_seen(selector)}.includes({json.dumps(text)})", f"{text!r} in {selector}", timeout_s)

    def screenshot(self, path: Path) -> None:
        """What it looks like, as PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def memory(self) -> tuple[float, int]:
        """MB of the heap of its scripts once the garbage is collected, and how many nodes its document has."""
        self._call("HeapProfiler.collectGarbage")
        heap = self._call("Runtime.getHeapUsage")["usedSize"] / 1e6
        return heap, int(self.eval("document.querySelectorAll('*').length"))

    # -- what a person does --------------------------------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        told = self._call("Page.navigate", url=url)
        assert not told.get("errorText"), f"{url}: {told['errorText']}"
        self.wait("document.readyState === 'complete'", f"{url} to be loaded")

    def click(self, text: str, role: str = "") -> None:
        """Press what is called so, with the mouse. In front of everything, if a dialog is open."""
        self._press(f"({_FIND})({json.dumps(text)}, {json.dumps(role)})", f"something called {text!r} to press")

    def press(self, selector: str) -> None:
        """Press what stands there, with the mouse."""
        self._press(f"document.querySelector({json.dumps(selector)})", f"{selector} to press")

    def _press(self, find: str, what: str) -> None:
        self.wait(f"Boolean({find})", what)
        x, y = self.eval(
            f"(() => {{ const one = {find}; one.scrollIntoView({{block: 'center'}});"
            " const r = one.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        self.press_at(x, y)

    def move_to(self, x: float, y: float) -> None:
        """The pointer."""
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press_at(self, x: float, y: float) -> None:
        """The left button."""
        self.move_to(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """From one place to another, with the left button held."""
        for kind, (x, y) in (("mousePressed", begin), ("mouseMoved", end), ("mouseReleased", end)):
            count = {} if kind == "mouseMoved" else {"clickCount": 1}
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", **count)

    def keys(self, *keys: str) -> None:
        """Press keys: single characters, or names (Enter, Escape, Tab, Home, End, arrows)."""
        for key in keys:
            named = key in _KEYS
            code = _KEYS[key] if named else ord(key.upper())
            text = {"text": "\r"} if key == "Enter" else {} if named else {"text": key}
            for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
                more = text if kind == "keyDown" else {}
                self._call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)

    def type(self, text: str) -> None:
        """Into what has the focus."""
        self._call("Input.insertText", text=text)

    def viewport(self, width: int, height: int) -> None:
        """The size of the screen."""
        how = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **how)

    def prefer(self, theme: str) -> None:
        """What the system prefers: "light" or "dark"."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    # -- the socket ----------------------------------------------------------------------------------------------------

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        assert self._socket is not None
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params, **session}))
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                told = json.loads(self._socket.recv(max(0.0, deadline - time.monotonic())))
            except TimeoutError:
                raise AssertionError(f"{method}: no answer in {PATIENCE_S:g} s\n{self.child.report()}") from None
            if told.get("id") == self._number:
                assert "error" not in told, f"{method}: {told['error']}"
                return dict(told["result"])
            self._hear(told)

    def _hear(self, told: dict[str, Any]) -> None:
        params = told.get("params", {})
        match told.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(_exception(params["exceptionDetails"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}".strip())


def _seen(selector: str) -> str:
    one = f"document.querySelector({json.dumps(selector)})"
    return f"({one}?.checkVisibility() ? {one}.innerText : '')"


def _exception(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description") or details.get("text"))
