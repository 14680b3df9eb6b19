"""How Sphinx builds these pages: ``make docs``. What is generated from the code is in ``_ext/guardian_docs.py``."""

import sys
from pathlib import Path

from guardian import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "guardian"
copyright = "the guardian developers, BSD-3-Clause"
version = release = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "guardian_docs"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"guardian {release}"
smartquotes = False
html_show_sphinx = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the pages are for people who write states, and states have no types
