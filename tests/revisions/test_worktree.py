"""The checkout of the base: complete, apart from the user's work, and gone afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from repositories import Repo

from pytest_optbench.measure.temporary import OWNER
from pytest_optbench.revisions.errors import RevisionError
from pytest_optbench.revisions.git import Repository
from pytest_optbench.revisions.worktree import prune, worktree


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith("optbench-")]


@pytest.mark.parametrize("detached", [False, True])
def test_a_checkout_holds_the_commit_and_leaves_the_user_alone(
    repo: Repo, own_temporary_folder: Path, detached: bool
) -> None:
    """The base is checked out beside a dirty tree, and nothing of the user's has changed afterwards."""
    git = Repository.of(repo.root)
    base = git.head()
    repo.file("src/pkg/work.py", "def run():\n    return 'committed later'\n")
    repo.commit()
    if detached:
        repo.git("checkout", "--quiet", "--detach")
    repo.file("src/pkg/work.py", "def run():\n    return 'stashed'\n")
    repo.git("stash")
    repo.file("src/pkg/work.py", "def run():\n    return 'staged'\n")
    repo.git("add", "src/pkg/work.py")
    repo.file("src/pkg/work.py", "def run():\n    return 'edited'\n")
    repo.file("notes.txt", "untracked")
    before = repo.state()
    with worktree(git, base) as tree:
        assert "range(2000)" in (tree / "src/pkg/work.py").read_text()
        assert not (tree / "notes.txt").exists()
        assert tree.name == repo.root.name
        assert json.loads((tree.parent / OWNER).read_text())["pid"] == os.getpid()
        assert str(tree) in repo.git("worktree", "list")
    assert not tree.exists()
    assert repo.state() == before
    assert leftovers(own_temporary_folder) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_it_is_gone_after_an_exception(
    repo: Repo, own_temporary_folder: Path, error: type[BaseException]
) -> None:
    """Whatever ends the body, the worktree and git's record of it are removed."""
    git = Repository.of(repo.root)
    before = repo.state()
    with pytest.raises(error), worktree(git, git.head()) as tree:  # noqa: PT012
        (tree / "built.so").write_bytes(b"x")
        raise error
    assert repo.state() == before
    assert leftovers(own_temporary_folder) == []


def test_it_is_gone_when_a_test_removed_it_first(repo: Repo, own_temporary_folder: Path) -> None:
    """A worktree whose folder vanished leaves no record in git."""
    git = Repository.of(repo.root)
    before = repo.state()
    with worktree(git, git.head()) as tree:
        tree.rename(tree.parent / "moved")
    assert repo.state() == before
    assert leftovers(own_temporary_folder) == []


OWNER_PROCESS = """
import signal, sys, time
from pathlib import Path
from pytest_optbench.revisions.git import Repository
from pytest_optbench.measure.terminated import terminable
from pytest_optbench.revisions.worktree import worktree

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and stays so
git = Repository.of(Path(sys.argv[1]))
with terminable(), worktree(git, git.head()) as tree:
    print(tree, flush=True)
    time.sleep(600)
"""


def start_owner(repo: Repo, *, start_new_session: bool = False) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER_PROCESS, str(repo.root)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=start_new_session,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_it_is_gone_after_a_signal(repo: Repo, own_temporary_folder: Path, number: signal.Signals) -> None:
    """Ctrl-C, a closed terminal and kill remove the worktree, and the process still dies of the signal."""
    process, tree = start_owner(repo)
    with process:
        assert tree.exists()
        process.send_signal(number)
        assert process.wait(120) == -number
    assert str(tree) not in repo.git("worktree", "list")
    assert leftovers(own_temporary_folder) == []


def test_it_is_gone_after_impatience(repo: Repo, own_temporary_folder: Path) -> None:
    """Ctrl-C again and again, to the git command that cleans up as well, does not stop the cleaning up."""
    process, tree = start_owner(repo, start_new_session=True)
    with process:
        while process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.01)
    assert str(tree) not in repo.git("worktree", "list")
    assert leftovers(own_temporary_folder) == []


def test_what_a_killed_owner_left_is_pruned_and_a_living_owner_is_left_alone(
    repo: Repo, own_temporary_folder: Path
) -> None:
    """The next run removes the worktree of a process killed outright, but not that of one still running."""
    killed, stale = start_owner(repo)
    living, used = start_owner(repo)
    with killed, living:
        killed.kill()
        killed.wait(120)
        assert prune(Repository.of(repo.root)) == [stale]
        assert not stale.parent.exists()
        assert used.exists()
        living.terminate()
        living.wait(120)
    assert leftovers(own_temporary_folder) == []


def test_other_peoples_worktrees_are_left_alone(repo: Repo, tmp_path: Path) -> None:
    """A worktree without our record is not pruned, also when its folder bears our prefix."""
    foreign = tmp_path / "optbench-mine" / "tree"
    repo.git("worktree", "add", "--quiet", "--detach", str(foreign))
    assert prune(Repository.of(repo.root)) == []
    assert foreign.exists()


def test_a_worktree_of_a_worktree(repo: Repo, tmp_path: Path) -> None:
    """A run inside a linked worktree makes its checkout from the same repository and removes it."""
    linked = tmp_path / "linked"
    repo.git("worktree", "add", "--quiet", "-b", "topic", str(linked))
    git = Repository.of(linked)
    before = repo.state()
    with worktree(git, git.head()) as tree:
        assert (tree / "src/pkg/work.py").exists()
    assert repo.state() == before


def test_submodules_come_from_the_local_copy(repo: Repo, tmp_path: Path, own_temporary_folder: Path) -> None:
    """A submodule is checked out at the commit the base records, without fetching from its address."""
    library = Repo(tmp_path / "library")
    library.file("lib.py", "VALUE = 1\n")
    library.commit()
    repo.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.root), "vendor/lib"
    )
    repo.commit()
    git = Repository.of(repo.root)
    base = git.head()
    library.file("lib.py", "VALUE = 2\n")
    newer = library.commit()
    inner = repo.root / "vendor" / "lib"
    subprocess.run(["git", "-C", str(inner), "pull", "--quiet"], check=True)
    subprocess.run(["git", "-C", str(inner), "checkout", "--quiet", newer], check=True)
    repo.commit()
    library.root.rename(tmp_path / "gone")  # the address leads nowhere now
    before = repo.state()
    with worktree(git, base) as tree:
        assert (tree / "vendor/lib/lib.py").read_text() == "VALUE = 1\n"
    with worktree(git, git.head()) as tree:
        assert (tree / "vendor/lib/lib.py").read_text() == "VALUE = 2\n"
    assert repo.state() == before
    assert leftovers(own_temporary_folder) == []


def test_a_shallow_submodule_with_the_commit_is_enough(repo: Repo, tmp_path: Path) -> None:
    """A commit that was fetched by its id into a shallow submodule, below no branch, is checked out."""
    library = Repo(tmp_path / "library")
    library.git("config", "uploadpack.allowAnySHA1InWant", "true")
    library.file("lib.py", "VALUE = 1\n")
    older = library.commit()
    library.file("lib.py", "VALUE = 2\n")
    newer = library.commit()
    inner = Repo(repo.root / "vendor" / "lib")
    for commit in (older, newer):  # as a checkout of depth 1 does, and then the cure of the error below
        inner.git("fetch", "--quiet", "--depth=1", library.root.as_uri(), commit)
        inner.git("checkout", "--quiet", "--detach", commit)
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{older},vendor/lib")
    repo.git("commit", "--quiet", "-m", "uses the older one")
    git = Repository.of(repo.root)
    with worktree(git, git.head()) as tree:
        assert (tree / "vendor/lib/lib.py").read_text() == "VALUE = 1\n"
        assert "nothing to commit" in Repository(tree / "vendor/lib").git("status").decode()


def test_a_submodule_that_is_not_checked_out_stays_empty(repo: Repo, tmp_path: Path) -> None:
    """What the working tree goes without, the base goes without."""
    library = Repo(tmp_path / "library")
    library.commit()
    repo.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.root), "vendor/lib"
    )
    repo.commit()
    repo.git("submodule", "--quiet", "deinit", "--force", "vendor/lib")
    git = Repository.of(repo.root)
    with worktree(git, git.head()) as tree:
        assert list((tree / "vendor/lib").iterdir()) == []


def test_a_missing_commit_of_a_submodule_names_the_cure(repo: Repo, tmp_path: Path) -> None:
    """A submodule without the commit the base needs is an error that tells how to fetch it."""
    library = Repo(tmp_path / "library")
    library.commit()
    repo.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.root), "vendor/lib"
    )
    repo.commit()
    repo.git("update-index", "--cacheinfo", f"160000,{'1' * 40},vendor/lib")
    repo.git("commit", "--quiet", "-m", "points nowhere")
    git = Repository.of(repo.root)
    with (
        pytest.raises(
            RevisionError, match=r"'vendor/lib' must hold commit 111111111111.*fetch it: git -C vendor/lib"
        ),
        worktree(git, git.head()),
    ):
        raise AssertionError("no worktree should be made")
    assert "optbench-" not in repo.git("worktree", "list")


def test_hooks_of_the_user_do_not_run(repo: Repo) -> None:
    """A checkout made for measuring does not run the user's post-checkout hook."""
    hook = repo.root / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch hook-ran\n")
    hook.chmod(0o755)
    git = Repository.of(repo.root)
    with worktree(git, git.head()) as tree:
        assert not (tree / "hook-ran").exists()


def test_temporary_files_inside_the_repository_are_refused(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worktree inside the working tree would mix the two; the message names the cure."""
    inside = repo.root / "tmp"
    inside.mkdir()
    monkeypatch.setenv("TMPDIR", str(inside))
    git = Repository.of(repo.root)
    with pytest.raises(RevisionError, match=r"outside the repository.*set TMPDIR"), worktree(git, git.head()):
        raise AssertionError("no worktree should be made")
    assert list(inside.iterdir()) == []
