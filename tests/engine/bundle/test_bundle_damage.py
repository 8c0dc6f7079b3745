"""Damaged bundles and hostile manifests: named, refused, repaired only on request."""

from __future__ import annotations

import json

import pytest
from bundle_tables import files_of

from optengine.bundle import (
    Bundle,
    BundleExists,
    BundleFormatError,
    TamperedBundle,
)


def test_a_damaged_bundle_is_repaired_only_on_request(tmp_path, bars):
    """Rebuilding the same content over a damaged file needs overwrite, and then repairs it."""
    bundle = Bundle.build(tmp_path / "b", {"bars": bars})
    file = tmp_path / "b" / next(f for f in files_of(tmp_path / "b") if f.endswith("arrow"))
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleExists):
        Bundle.build(tmp_path / "b", {"bars": bars})
    Bundle.build(tmp_path / "b", {"bars": bars}, overwrite=True)
    bundle.verify()


@pytest.mark.parametrize("kind", ["arrow", "parquet", "sqlite"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "link"])
def test_verify_names_the_damaged_file(tmp_path, bars, assets, kind, damage):
    """A file changed by one bit, cut, removed, or replaced by a link is found and named by verify()."""
    bundle = Bundle.build(tmp_path / "b", {"bars": bars}, assets)
    name = next(file for file in files_of(tmp_path / "b") if file.endswith(kind))
    file = tmp_path / "b" / name
    content = file.read_bytes()
    file.unlink()
    if damage == "flip":
        file.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif damage == "cut":
        file.write_bytes(content[:-8])
    elif damage == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TamperedBundle, match="sealed files never change") as caught:
        bundle.verify()
    assert caught.value.file == name


@pytest.mark.parametrize("damage", ["cut", "remove", "garbage"])
def test_opening_a_damaged_table_names_it(tmp_path, bars, damage):
    """A table file that is cut, gone or garbage is refused when it is opened, before any value is read."""
    bundle = Bundle.build(tmp_path / "b", {"bars": bars})
    name = next(file for file in files_of(tmp_path / "b") if file.endswith("arrow"))
    file = tmp_path / "b" / name
    size = file.stat().st_size
    file.unlink()
    if damage != "remove":
        file.write_bytes(b"x" * (size if damage == "garbage" else size - 1))
    with pytest.raises(TamperedBundle) as caught:
        bundle.frame("bars")
    assert caught.value.file == name


def rewrite_manifest(path, change):
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").unlink()
    (path / "manifest.json").write_text(json.dumps(manifest))


def escape(target):
    def change(manifest):
        old = manifest["tables"]["bars"]["arrow"]
        manifest["tables"]["bars"]["arrow"] = target
        manifest["files"][target] = manifest["files"].pop(old)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            escape("../../etc/passwd"),
            r"inside the bundle; received '\.\./\.\./etc/passwd'",
        ),
        (escape("/etc/passwd"), "may only list files inside the bundle; received '/etc/passwd'"),
        (escape("tables/../../x"), "may only list files inside the bundle"),
        (escape("tables\\x"), "may only list files inside the bundle"),
        (escape("tables/other.arrow"), "must name the arrow file of 'tables/bars' by its hash"),
        (
            lambda m: m.update(schema="optengine/bundle/2"),
            r"schema 'optengine/bundle/1'; received '.*/2'",
        ),
        (
            lambda m: m.update(fingerprint="0" * 64),
            r"must carry the fingerprint .*received '0000",
        ),
        (lambda m: m.pop("files"), "must be a bundle manifest; KeyError: 'files'"),
        (lambda m: m["files"].update(extra={"sha256": "0" * 64, "bytes": 1}), "must list exactly the files"),
        (lambda m: m["tables"].update({"../x": m["tables"]["bars"]}), "table names must be letters"),
        (
            lambda m: next(iter(m["files"].values())).update(sha256="zz"),
            "64 hexadecimal digits; rec.* 'zz'",
        ),
        (lambda m: m.update(tables=[]), "must be a bundle manifest; AttributeError"),
        (lambda m: m.update(assets="assets.sqlite"), "must name the sqlite file of 'assets' by its hash"),
    ],
)
def test_unsafe_manifests_are_refused(tmp_path, bars, change, message):
    """A manifest of another schema, with paths out of the bundle or parts that disagree, does not open."""
    Bundle.build(tmp_path / "b", {"bars": bars})
    rewrite_manifest(tmp_path / "b", change)
    with pytest.raises(BundleFormatError, match=message):
        Bundle.open(tmp_path / "b")


@pytest.mark.parametrize("content", [None, "", "[]", "null", "{", "\udcff", "[" * 100_000])
def test_directories_without_manifest_are_refused(tmp_path, content):
    """A missing directory and a manifest that is not JSON of the right shape do not open."""
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BundleFormatError, match=r"must be a bundle manifest|a bundle is a directory with"):
        Bundle.open(tmp_path if content is not None else tmp_path / "none")
