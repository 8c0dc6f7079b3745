"""What a build that was killed half-way leaves, and who removes it."""

import pandas as pd

from optengine import Bundle


def test_the_next_build_removes_what_a_killed_one_moved_in(tmp_path):
    """Sealed files that no manifest lists are gone after the next replacement; files of others stay."""
    path = tmp_path / "b"
    Bundle.build(path, {"bars": pd.DataFrame({"close": [1.0]})}).close()
    stray = path / "tables" / "bars-0123456789ab.arrow"
    foreign = path / "tables" / "notes.txt"
    for file in (stray, foreign):
        file.write_text("x")
    bundle = Bundle.build(path, {"bars": pd.DataFrame({"close": [2.0]})}, overwrite=True)
    bundle.verify()
    assert not stray.exists()
    assert foreign.exists()
    assert len(list((path / "tables").iterdir())) == 3
