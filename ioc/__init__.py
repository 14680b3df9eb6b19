"""The Channel Access face: what clients meet on the network, and the simulated plant of the demo.

Nothing happens here beyond one check. The distribution of this project is called ``epics-guardian``, and PyPI has
another project that also installs a package ``guardian``. Whoever meets that one shall be told so, not be left with an
attribute missing ten modules later.
"""

from importlib.util import find_spec
from pathlib import Path


def _foreign_guardian() -> str | None:
    """What is found in place of our ``guardian``, or None; looks without importing it."""
    spec = find_spec("guardian")
    if spec is None:
        return "no package of that name"
    places = list(spec.submodule_search_locations or ())
    if all((Path(place) / "enums.py").is_file() for place in places) and places:
        return None
    return f"another project, in {spec.origin or ', '.join(places)}"


if _found := _foreign_guardian():
    raise ImportError(
        f"ioc: needs the guardian control system, found {_found}. "
        "Run: pip uninstall guardian; pip install epics-guardian",
        name="guardian",
    )
