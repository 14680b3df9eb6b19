"""A program that sends heartbeats: ``sender.py NAME URL [PERIOD]``. It does what it reads, one word a line."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from guardian.health import HealthMonitor


def main(name: str, url: str, period: str = "0.2") -> None:
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    hang = threading.Event()
    ended = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            if line.strip() == "hang":
                hang.set()
            elif line.strip() == "go on":
                hang.clear()
            elif line.strip() == "end":
                ended.set()
            elif line.strip() == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)

    threading.Thread(target=listen, daemon=True).start()
    with HealthMonitor(name, webhook=url, period_s=float(period), stall_s=5 * float(period)) as health:
        print("SENDER READY", flush=True)
        while not ended.is_set():
            while hang.is_set():
                time.sleep(0.05)
            health.beat()
            time.sleep(0.02)
    print("SENDER ENDED", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
