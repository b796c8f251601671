"""How Sphinx builds this folder: `make docs`."""

import sys
import tomllib
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

_ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_ROOT))  # the reference is made from docstrings

project = "Millrace"
release = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"]
author = "The Millrace authors"
copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
exclude_patterns = ["_build"]
templates_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_mock_imports = ["httpx"]  # an extra, of which the reference shows nothing
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signature has them, the docstring says what they mean
autodoc_preserve_defaults = True
smartquotes = False  # two dashes begin an option
napoleon_google_docstring = False
napoleon_use_rtype = False
default_role = "code"  # docstrings put names in single backticks

html_theme = "furo"
html_title = f"Millrace {release}"
html_static_path = ["_static"]
html_css_files = ["millrace.css"]
html_copy_source = False
html_show_sphinx = False


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", dash_after_parameters)
    app.connect("sphinx-click-process-epilog", examples_as_code)


def dash_after_parameters(_app: object, document: nodes.document) -> None:
    """Put a dash between a parameter and its description, which smartquotes would have done."""
    for text in [each for each in document.findall(nodes.Text) if each == " -- "]:
        text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def examples_as_code(_app: object, _context: object, lines: list[str]) -> None:
    """Show the lines of an epilog that are not to be wrapped as code."""
    examples = [line.removeprefix("|").removeprefix(" ") for line in lines if line.startswith("|")]
    rest = [line for line in lines if not line.startswith("|")]
    if examples:
        lines[:] = ["::", "", *(f"   {line}" for line in examples), "", *rest]
