"""Python runs this at its start, in children of tests that hide a package: see ``tests/support/hidden.py``."""

import importlib.util
import os
from pathlib import Path

_spec = importlib.util.spec_from_file_location("hidden", Path(__file__).parent.parent / "hidden.py")
_hidden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_hidden)
_hidden.hide(os.environ.get("HIDDEN", "").split())
