"""How the documentation site is built: `sphinx-build -W -n docs site` (tox environment `docs`).

Sphinx with Furo: system fonts, search and styles are files of the site, so a reader needs no network.
Pages are plain markdown that reads well without the site too.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
_project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _project["name"]
release = version = _project["version"]
copyright = ""  # the name Sphinx gives this setting

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
nitpicky = True

smartquotes_action = "q"  # hyphens and dots stay as written: tables hold options and REV...
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_domain_indices = False
html_theme_options = {"top_of_page_buttons": []}


def setup(app: Sphinx) -> None:
    """Let pages link to documents of the repository that are no pages of the site."""
    app.connect("source-read", _offer_outside_documents)


def _offer_outside_documents(_app: Sphinx, _name: str, content: list[str]) -> None:
    """Turn links to markdown files outside this folder into downloads; other files are downloads anyway."""
    content[0] = re.sub(
        r"\[([^\]]+)\]\((\.\./[^)#]+\.md)\)",
        lambda link: f"{{download}}`{link[1].replace('`', '')} <{link[2]}>`",
        content[0],
    )
