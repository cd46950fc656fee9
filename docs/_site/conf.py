"""Sphinx's configuration; ``build_site.py`` prepares the pages and runs Sphinx."""

from __future__ import annotations

import os

from nni_blockqnn import __version__

project = "nni-blockqnn"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

html_theme = "furo"
html_title = "nni-blockqnn"
html_static_path = [os.environ["NNI_BLOCKQNN_SITE_STATIC"]]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
pygments_style, pygments_dark_style = "friendly", "github-dark"
highlight_language = "none"

myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["misc.highlighting_failure"]  # JSON with "..." in it is still read

autodoc_inherit_docstrings = False  # NNI's are written otherwise
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "undoc-members": False, "exclude-members": "__new__"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_use_ivar = True
