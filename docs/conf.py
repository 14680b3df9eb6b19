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
html_static_path = ["_static"]
html_css_files = ["guardian.css"]
smartquotes_action = "D"  # "--" is a dash; quotes stay what can be typed
html_show_sphinx = False
add_module_names = False
napoleon_use_ivar = True  # a line an attribute
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the pages are for people who write states, and states have no types
