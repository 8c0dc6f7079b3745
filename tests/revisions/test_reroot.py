"""Each child imports the project from its own tree, however the project is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from repositories import Repo

from pytest_optbench.revisions.reroot import OTHER_TREE, ROOT, TREE

REPORT = """
import json, sys
{before}
import pytest_optbench.revisions.child
{body}
print(json.dumps({{"path": sys.path, **result}}))
"""


class Trees:
    """Two trees of one project, the second with another content, and a folder that plays site-packages."""

    def __init__(self, folder: Path, **files: str) -> None:
        self.head, self.base, self.site = (folder / name for name in ("head", "base", "site"))
        self.site.mkdir()
        for tree in (self.head, self.base):
            tree.mkdir()
        for name, text in files.items():
            self.file(name, text)

    def file(self, name: str, text: str) -> None:
        """Write a file to both trees; ``TREE`` in it becomes the name of the tree."""
        for tree in (self.head, self.base):
            self.only(tree, name, text)

    def only(self, tree: Path, name: str, text: str) -> None:
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("TREE", tree.name), encoding="utf-8")

    def run(
        self, body: str, *, own: str = "base", before: str = "", pythonpath: str = "", root: str = ""
    ) -> dict[str, object]:
        """Return what a fresh interpreter of one side computes; ``site`` is processed as a site folder."""
        tree, other = (self.base, self.head) if own == "base" else (self.head, self.base)
        start = f"import site; site.addsitedir({str(self.site)!r})\n" + textwrap.dedent(before)
        code = REPORT.format(before=start, body=textwrap.dedent(body))
        environment = {**os.environ, TREE: str(tree), OTHER_TREE: str(other), "PYTHONPATH": pythonpath}
        if root:
            environment[ROOT] = str(tree / root)
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tree / root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found


IMPORT = "import pkg; result = {'tree': pkg.WHOSE, 'file': pkg.__file__}"
PACKAGE = "WHOSE = 'TREE'\n"


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path)


@pytest.mark.parametrize("own", ["base", "head"])
@pytest.mark.parametrize("layout", ["src/pkg", "pkg"])
@pytest.mark.parametrize("how", ["pth", "pythonpath", "nothing"])
def test_layouts_and_paths(trees: Trees, own: str, layout: str, how: str) -> None:
    """Src and flat layouts come from the own tree under an editable .pth, PYTHONPATH, or no installation."""
    trees.file(f"{layout}/__init__.py", PACKAGE)
    place = str((trees.head / layout).parent)
    if how == "pth":
        (trees.site / "pkg.pth").write_text(place)
    found = trees.run(IMPORT, own=own, pythonpath=place if how == "pythonpath" else "")
    assert found["tree"] == own


def test_a_project_moved_into_src_in_between(trees: Trees) -> None:
    """Base flat, working tree src: the editable install's path leads to the base's own place."""
    trees.only(trees.head, "src/pkg/__init__.py", PACKAGE)
    trees.only(trees.base, "pkg/__init__.py", PACKAGE)
    (trees.site / "pkg.pth").write_text(str(trees.head / "src"))
    assert trees.run(IMPORT)["tree"] == "base"


SETUPTOOLS_FINDER = """
import sys
from importlib.machinery import ModuleSpec, all_suffixes
from importlib.util import spec_from_file_location
from pathlib import Path

MAPPING = {mapping!r}
NAMESPACES = {namespaces!r}
PLACE = "__editable__.pkg.finder.__path_hook__"

class _EditableFinder:
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        for name, place in MAPPING.items():
            if fullname == name or fullname.startswith(name + "."):
                found = Path(place, *fullname[len(name):].strip(".").split("."))
                for file in [found / "__init__.py", *(found.with_suffix(s) for s in all_suffixes())]:
                    if file.exists():
                        return spec_from_file_location(fullname, file)

class _EditableNamespaceFinder:
    @classmethod
    def hook(cls, path):
        if path == PLACE:
            return cls
        raise ImportError
    @classmethod
    def find_spec(cls, fullname, target=None):
        if fullname in NAMESPACES:
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = NAMESPACES[fullname]
            return spec

def install():
    sys.meta_path.append(_EditableFinder)
    sys.path_hooks.append(_EditableNamespaceFinder.hook)
    sys.path.append(PLACE)
"""


def install_finder(trees: Trees, mapping: dict[str, str], namespaces: dict[str, list[str]]) -> None:
    """Install what setuptools writes for an editable install in a layout of its own."""
    name = "__editable___pkg_1_finder"
    text = SETUPTOOLS_FINDER.format(mapping=mapping, namespaces=namespaces)
    (trees.site / f"{name}.py").write_text(text)
    (trees.site / "__editable__.pkg.pth").write_text(f"import {name}; {name}.install()")


@pytest.mark.parametrize("own", ["base", "head"])
def test_a_finder_of_an_editable_install_is_turned(trees: Trees, own: str) -> None:
    """A package in a folder that is no import root is found through the finder, in the own tree."""
    trees.file("python/code/pkg/__init__.py", PACKAGE)
    trees.file("python/code/pkg/sub.py", PACKAGE)
    install_finder(trees, {"pkg": str(trees.head / "python/code/pkg")}, {})
    found = trees.run("import pkg, pkg.sub; result = {'tree': pkg.WHOSE, 'sub': pkg.sub.WHOSE}", own=own)
    assert (found["tree"], found["sub"]) == (own, own)


def test_a_package_the_base_does_not_have_is_not_found(trees: Trees) -> None:
    """A name the finder knows but the own tree lacks is missing, never taken from the other tree."""
    trees.only(trees.head, "python/pkg/__init__.py", PACKAGE)
    install_finder(trees, {"pkg": str(trees.head / "python/pkg")}, {})
    body = """
        try:
            import pkg
            result = {'found': pkg.__file__}
        except ModuleNotFoundError:
            result = {'found': None}
    """
    assert trees.run(body)["found"] is None


def test_a_namespace_of_a_finder_does_not_mix_trees(trees: Trees) -> None:
    """Namespace portions listed by the finder are turned to the own tree."""
    trees.file("python/ns/part/__init__.py", PACKAGE)
    install_finder(trees, {}, {"ns": [str(trees.head / "python/ns")]})
    body = "import ns.part; result = {'tree': ns.part.WHOSE, 'where': list(ns.__path__)}"
    found = trees.run(body)
    assert found["tree"] == "base"
    assert found["where"] == [str(trees.base / "python/ns")]


def test_a_namespace_package_on_the_path_does_not_mix_trees(trees: Trees) -> None:
    """A namespace package consists of the own tree's folder and of what is installed, nothing else."""
    trees.file("src/ns/part/__init__.py", PACKAGE)
    (trees.site / "ns" / "installed").mkdir(parents=True)
    (trees.site / "ns" / "installed" / "__init__.py").write_text("")
    (trees.site / "ns.pth").write_text(str(trees.head / "src"))
    body = "import ns.part, ns.installed; result = {'tree': ns.part.WHOSE, 'where': list(ns.__path__)}"
    found = trees.run(body)
    assert found["tree"] == "base"
    assert found["where"] == [str(trees.base / "src/ns"), str(trees.site / "ns")]


def test_a_legacy_namespace_package_is_turned(trees: Trees) -> None:
    """The search path of a namespace that a start-up file created is turned to the own tree."""
    trees.file("lib/ns/part/__init__.py", PACKAGE)
    before = f"""
        import types, sys
        ns = sys.modules["ns"] = types.ModuleType("ns")
        ns.__path__ = [{str(trees.head / "lib/ns")!r}]
    """
    body = "import ns.part; result = {'tree': ns.part.WHOSE}"
    assert trees.run(body, before=before)["tree"] == "base"


def test_the_redirector_of_hatchling_is_turned(trees: Trees) -> None:
    """An exact editable install of hatchling maps names to files; the files of the own tree are used."""
    pytest.importorskip("editables", reason="editables makes the redirecting finder")
    trees.file("lib/pkg/__init__.py", PACKAGE)
    before = f"""
        from editables.redirector import RedirectingFinder as F
        F.install()
        F.map_module("pkg", {str(trees.head / "lib/pkg/__init__.py")!r})
    """
    assert trees.run(IMPORT, before=before)["tree"] == "base"


def test_what_a_start_up_file_imported_is_imported_again(trees: Trees) -> None:
    """A module that a .pth file imported from the other tree is replaced by the own tree's."""
    trees.file("src/pkg/__init__.py", PACKAGE)
    (trees.site / "pkg.pth").write_text(f"{trees.head / 'src'}\nimport pkg\n")
    assert trees.run(IMPORT)["tree"] == "base"


def test_an_environment_inside_the_tree_stays(trees: Trees) -> None:
    """Packages installed in a .venv of the working tree are used by both sides."""
    trees.file("src/pkg/__init__.py", PACKAGE)
    libraries = trees.head / ".venv/lib/python3/site-packages"
    libraries.mkdir(parents=True)
    (libraries / "thirdparty.py").write_text("")
    body = "import pkg, thirdparty; result = {'tree': pkg.WHOSE, 'third': thirdparty.__file__}"
    found = trees.run(body, pythonpath=str(libraries))
    assert found["tree"] == "base"
    assert found["third"] == str(libraries / "thirdparty.py")


def test_a_rootdir_below_the_root_of_the_repository(trees: Trees) -> None:
    """In a repository of several projects the one that is tested comes first, its neighbours come along."""
    trees.file("packages/a/src/pkg/__init__.py", PACKAGE)
    trees.file("packages/b/other/__init__.py", PACKAGE)
    (trees.site / "b.pth").write_text(str(trees.head / "packages/b"))
    body = "import pkg, other; result = {'tree': pkg.WHOSE, 'other': other.WHOSE}"
    found = trees.run(body, root="packages/a")
    assert (found["tree"], found["other"]) == ("base", "base")


def test_relative_and_foreign_entries_stay(trees: Trees, repo: Repo) -> None:
    """Entries of sys.path outside both trees keep their order and their spelling."""
    trees.file("src/pkg/__init__.py", PACKAGE)
    body = "result = {}"
    found = trees.run(body, pythonpath=os.pathsep.join([str(repo.root), str(trees.head / "nowhere")]))
    path = found["path"]
    assert isinstance(path, list)
    assert path[:2] == [str(trees.base / "src"), str(trees.base)]
    assert str(repo.root) in path
    assert not [entry for entry in path if entry.startswith(str(trees.head))]
