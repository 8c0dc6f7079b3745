"""What is asked of git: revisions, changes, cures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from repositories import Repo

from pytest_optbench.revisions.errors import RevisionError
from pytest_optbench.revisions.git import Repository


def test_the_root_is_found_from_a_subfolder(repo: Repo) -> None:
    """A folder inside the working tree leads to the root of the repository."""
    assert Repository.of(repo.root / "src" / "pkg").root == repo.root


def test_a_folder_outside_any_repository_is_refused(tmp_path: Path) -> None:
    """Without a repository there is nothing to compare with, and the message says where pytest must run."""
    with pytest.raises(RevisionError, match=r"git working tree.*run pytest inside the repository"):
        Repository.of(tmp_path)


def test_revisions_of_every_spelling(repo: Repo) -> None:
    """Branch, tag, short id, HEAD~n and a merge base name the commits they should."""
    first = repo.git("rev-parse", "HEAD").strip()
    repo.git("tag", "v1")
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.file("src/pkg/work.py", "def run():\n    return 1\n")
    second = repo.commit()
    repo.git("checkout", "--quiet", "main")
    repo.file("other.txt", "x")
    third = repo.commit()
    repo.git("checkout", "--quiet", "topic")
    git = Repository.of(repo.root)
    found = {
        name: git.resolve(name).commit for name in ("v1", "HEAD", "HEAD~1", first[:10], "main", "main...")
    }
    assert found == {
        "v1": first,
        "HEAD": second,
        "HEAD~1": first,
        first[:10]: first,
        "main": third,
        "main...": first,
    }
    assert git.resolve("v1").tree == repo.git("rev-parse", "v1^{tree}").strip()


def test_an_unknown_revision_names_the_cure(repo: Repo) -> None:
    """A misspelt revision is a clear error and never another commit; an option is not taken for one."""
    git = Repository.of(repo.root)
    with pytest.raises(RevisionError, match="'nowhere' is no commit of this repository; check the spelling"):
        git.resolve("nowhere")
    with pytest.raises(RevisionError, match="'--all' is no commit"):
        git.resolve("--all")
    with pytest.raises(RevisionError, match="no common commit"):
        git.resolve("nowhere...")


def test_a_branch_known_only_on_the_remote_is_named(repo: Repo, tmp_path: Path) -> None:
    """In a checkout of one branch, the other branch is suggested under its remote's name."""
    repo.git("branch", "base")
    subprocess.run(["git", "clone", "--quiet", str(repo.root), str(tmp_path / "clone")], check=True)
    with pytest.raises(RevisionError, match="called 'origin/base': write --optbench-base=origin/base"):
        Repository.of(tmp_path / "clone").resolve("base")


def test_a_shallow_clone_names_the_cure(repo: Repo, tmp_path: Path) -> None:
    """A commit that a shallow clone lacks is an error that tells how to fetch it."""
    first = repo.git("rev-parse", "HEAD").strip()
    repo.file("src/pkg/work.py", "def run():\n    return 1\n")
    repo.commit()
    url = repo.root.as_uri()
    subprocess.run(["git", "clone", "--quiet", "--depth=1", url, str(tmp_path / "clone")], check=True)
    for revision in (first, "HEAD~1"):
        with pytest.raises(RevisionError, match=r"shallow clone.*fetch --deepen=100.*fetch-depth: 0"):
            Repository.of(tmp_path / "clone").resolve(revision)


def test_what_changed_includes_untracked_and_moved_files(repo: Repo) -> None:
    """Edited, deleted, moved and untracked files all differ from the base; ignored ones do not."""
    git = Repository.of(repo.root)
    base = git.head()
    assert git.changed(base) == []
    assert git.dirt() is None
    repo.file("src/pkg/work.py", "def run():\n    return 1\n")
    repo.file("src/pkg/new.py", "")
    repo.file("reports/x.json", "{}")
    repo.git("mv", "src/pkg/__init__.py", "src/pkg/moved.py")
    assert git.changed(base) == [
        "src/pkg/__init__.py", "src/pkg/moved.py", "src/pkg/new.py", "src/pkg/work.py",
    ]  # fmt: skip
    assert "src/pkg/new.py" in git.files()
    assert "reports/" in git.ignored()


def test_the_digest_of_a_dirty_tree_follows_its_content(repo: Repo) -> None:
    """Two different states of a dirty tree have different digests, the same state the same one."""
    git = Repository.of(repo.root)
    repo.file("src/pkg/new.py", "a = 1\n")
    first = git.dirt()
    assert first is not None
    assert git.dirt() == first
    repo.file("src/pkg/new.py", "a = 2\n")
    assert git.dirt() not in (first, None)


def test_what_runs_and_compilers_write_is_no_change(repo: Repo) -> None:
    """Folders that are left out and compiled files git does not track change neither source nor digest."""
    git = Repository.of(repo.root)
    base = git.head()
    repo.file(".gitignore", "")
    repo.file("reports [x]/index.json", "{}")
    repo.commit()
    first = git.changed(base, ["reports [x]"]), git.dirt(["reports [x]"])
    repo.file("reports [x]/index.json", "{1}")
    repo.file("reports [x]/new.json", "{}")
    assert (git.changed(base, ["reports [x]"]), git.dirt(["reports [x]"])) == first == ([".gitignore"], None)
    assert "reports [x]/new.json" in git.changed(base)
    repo.file("src/pkg/fast.so", "")
    repo.file("src/pkg/__pycache__/work.pyc", "")
    assert git.changed(base, ["reports [x]"]) == [".gitignore"]
    repo.commit()
    assert "src/pkg/fast.so" in git.changed(base)


def test_git_of_a_hook_does_not_lead_elsewhere(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that git sets for hooks do not turn the questions to another repository."""
    other = Repo(tmp_path / "other")
    other.commit()
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.root / ".git" / "index"))
    git = Repository.of(repo.root)
    assert git.root == repo.root
    assert "src/pkg/work.py" in git.files()
