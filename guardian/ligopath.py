"""Where a site keeps its files. A leaf; modules of the field say ``from guardian.ligopath import userapps_path``."""

from __future__ import annotations

import os

from guardian.errors import ExpectedError


def userapps_path(*parts: str) -> str:
    """A path below the userapps tree: ``userapps_path('sus', 'x1', 'burtfiles', 'x1susmc1_safe.snap')``.

    The tree is that of USERAPPS_PATH in the environment, as for modules. Nothing is looked up: the file may be missing.

    Raises
    ------
    ExpectedError
        USERAPPS_PATH is not set.
    """
    root = os.environ.get("USERAPPS_PATH")
    if not root:
        raise ExpectedError(
            f"userapps_path{parts!r}: USERAPPS_PATH is not set; set it to the folder with sus/, isc/ and the others"
        )
    return os.path.join(root, *parts)
