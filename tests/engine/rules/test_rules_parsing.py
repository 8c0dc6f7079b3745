"""Parsing in threads: every tree is whole, every error the source's own."""

from __future__ import annotations

import ast
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from optengine.rules.parsing import parse_python

SOURCE = Path(ast.__file__).read_bytes()


def test_threads_parse_at_the_same_time() -> None:
    """Many parses in four threads give the tree that one thread gives; none ends in a SystemError."""
    whole = ast.dump(parse_python(SOURCE))
    with ThreadPoolExecutor(4) as threads:
        trees = list(threads.map(lambda _: parse_python(SOURCE), range(24)))
    assert {ast.dump(tree) for tree in (trees[0], trees[-1])} == {whole}
    assert len({len(tree.body) for tree in trees}) == 1


def test_a_syntax_error_names_the_file() -> None:
    """What cannot be parsed raises as usual, and the next source is parsed."""
    with pytest.raises(SyntaxError) as error:
        parse_python("def (", filename="broken.py")
    assert error.value.filename == "broken.py"
    assert len(parse_python("x = 1").body) == 1
