"""File stems: readable for ordinary ids, safe for hostile ones, apart for different ones."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_optbench.store import slug


@pytest.mark.parametrize(
    ("identity", "stem"),
    [
        ("benchmarks/test_pool.py::test_map[8]", "benchmarks-test_pool-test_map-8"),
        ("tests/test_a.py::TestX::test_y::fast", "tests-test_a-TestX-test_y-fast"),
        ("test_a.py::test_ü", "test_a-test_"),
        ("../../etc/passwd", "etc-passwd"),
        ("/abs/../x", "abs-x"),
    ],
)
def test_ordinary_ids_stay_readable(identity: str, stem: str) -> None:
    """The stem is the id with separators made into dashes."""
    assert slug.slug(identity) == stem


@pytest.mark.parametrize("identity", ["index", "INDEX", "con", "NUL", "com1", "readme", "", "...", "🚀", "/"])
def test_reserved_and_empty_stems_get_a_digest(identity: str) -> None:
    """A stem that would name the index, a device or nothing is made another by a digest of the id."""
    stem = slug.slug(identity)
    assert stem.endswith(slug.digest(identity))
    assert slug.is_valid(stem)


def test_long_ids_are_cut_and_stay_apart() -> None:
    """Two long ids that share their beginning get different stems of bounded length."""
    one, two = slug.slug("x" * 500 + "1"), slug.slug("x" * 500 + "2")
    assert one != two
    assert len(one) <= slug.MAX_LENGTH + 1 + slug.DIGEST_LENGTH


@given(st.text())
def test_every_stem_is_a_safe_file_name(identity: str) -> None:
    """Whatever the id holds, all its stems are ASCII, bounded, without a path, not reserved and different."""
    stems = list(slug.candidates(identity))
    assert all(slug.is_valid(stem) and stem.isascii() and len(stem) <= 120 for stem in stems)
    assert len(set(stems)) == len(stems)


@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_two_ids_share_no_second_stem(ids: list[str]) -> None:
    """Only the readable stem can be shared; those with a digest tell two ids apart."""
    first, second = (list(itertools.islice(slug.candidates(each), 1, 3)) for each in ids)
    assert not set(first) & set(second)


@pytest.mark.parametrize(
    "stem", ["", ".", "..", "a/b", "a\\b", "-x", ".hidden", "index", "Con", "a b", "é", "x" * 121, None, 3]
)
def test_unsafe_stems_are_recognized(stem: object) -> None:
    """A stem read from a file is trusted only when it is a plain, unreserved name."""
    assert not slug.is_valid(stem)
