"""How Sphinx makes the site of docs/*.md: `tox -e docs`."""

import re
from importlib import metadata
from typing import Any

REPOSITORY = "https://github.com/nasbench-evo/nasbench-evo/blob/main/"

project = "nasbench_evo"
author = "The nasbench_evo authors"
copyright = f"2026, {author}"
release = metadata.version("nasbench-evo")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]

default_role = "code"  # what docstrings put between backquotes
myst_heading_anchors = 4

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"

html_theme = "furo"
html_title = "nasbench_evo"


def _outside(_: Any, __: str, source: list[str]) -> None:
    """Let links to texts outside docs/ lead to the repository; figures are copied."""
    link = r"\]\(\.\./(?P<path>[^)#]+\.(?:md|toml|yml|cff))(?P<anchor>#[^)]*)?\)"
    source[0] = re.sub(link, rf"]({REPOSITORY}\g<path>\g<anchor>)", source[0])


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("source-read", _outside)
