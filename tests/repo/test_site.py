"""The documentation site: built without a warning, whole without a network, current with the code."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """Return the module that writes the generated tables."""
    spec = importlib.util.spec_from_file_location("docs_tables", DOCS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_tables_are_those_of_the_code(tables: ModuleType) -> None:
    """No page is behind the code; `python docs/tables.py` brings them up to date."""
    assert [path.name for path in tables.outdated()] == []


def test_every_table_is_on_a_page(tables: ModuleType) -> None:
    """Options, marker keys, fixture, reasons, command and fields of a decision each stand on exactly one page."""
    pages = [path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")]
    for name in tables.TABLES:
        assert sum(f"<!-- {name}: begin" in page for page in pages) == 1, name


def test_a_page_behind_the_code_is_found(tables: ModuleType) -> None:
    """A table with a changed cell is replaced, whatever stands around it stays."""
    page = "before\n<!-- reasons: begin (x) -->\n| old |\n<!-- reasons: end -->\nafter `\\1`\n"
    new = tables.filled(page)
    assert "| old |" not in new
    assert "`demonstrated`" in new
    assert new.startswith("before\n<!-- reasons: begin (x) -->\n| code |")
    assert new.endswith("\n<!-- reasons: end -->\nafter `\\1`\n")
    assert tables.filled(new) == new


def test_every_field_of_a_decision_is_explained(tables: ModuleType) -> None:
    """Every field at the top of a document has its meaning beside it."""
    rows = re.findall(r"^\| `([\w\[\]]+)` \| (.*?) \| (.*?) \|$", tables.decision_fields(), re.MULTILINE)
    assert len(rows) > 30
    assert [name for name, kind, meaning in rows if not meaning and name not in {"schema"}] == []


def test_the_options_named_on_the_pages_exist() -> None:
    """No page names an option of the plugin that it does not have."""
    from pytest_optbench import options

    known = {option.flag for option in options._OPTIONS}
    unknown = {
        f"{path.name}: {found}"
        for path in DOCS.glob("*.md")
        for found in re.findall(r"--optbench(?:-[a-z]+)*", path.read_text(encoding="utf-8"))
        if found not in known
    }
    assert unknown == set()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site as CI builds it: every warning an error."""
    pytest.importorskip("furo", reason="needs the extra docs")
    pytest.importorskip("myst_parser", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-d", str(folder / "trees")]
    done = subprocess.run(
        [*command, str(DOCS), str(folder / "html")], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_page_is_in_the_navigation(site: Path) -> None:
    """From the first page a link leads to every other one."""
    front = (site / "index.html").read_text(encoding="utf-8")
    pages = {path.stem for path in DOCS.glob("*.md")}
    assert {page for page in pages if f'href="{page}.html"' not in front} <= {"index"}


def test_the_site_loads_nothing_from_the_network(site: Path) -> None:
    """No page and no style asks another host for a script, a style, a font or a picture."""
    loaded = r"""<(?:script|img|iframe|link|source)[^>]+(?:src|href)=["'](?:https?:)?//[^"']+"""
    loads = re.compile(rf"""{loaded}|url\(["']?(?:https?:)?//""")
    found = [
        f"{path.name}: {hit}"
        for path in [*site.rglob("*.html"), *site.rglob("*.css")]
        for hit in loads.findall(path.read_text(encoding="utf-8"))
    ]
    assert found == []
