"""Git only narrows what is hashed again; whatever it cannot answer means a full run."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from optengine.rules import Context, ProcessPoolValidator, Report, RuleSet
from optengine.rules.changed import GitError, changed_paths, parse_name_status, resolve


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def text_of_all(ctx: Context) -> bool:
    """Pass where no file holds the word BAD."""
    return not any(b"BAD" in ctx.fs.read_bytes(path) for path in ctx.fs.glob("**/*.txt"))


RULES = RuleSet()
RULES.add("TEXT", text_of_all)


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Repositories with five committed files, made together so that their time stamps grow old together."""
    made = []
    for _ in range(20):
        root = tmp_path_factory.mktemp("git") / "repository"
        root.mkdir()
        git(root, "init", "-q")
        for number in range(4):
            (root / f"file {number}.txt").write_text(f"good {number}\n")
        (root / "ignored.log.txt").write_text("x")
        (root / ".gitignore").write_text("ignored*\n")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "first")
        made.append(root)
    age(made[-1])
    return made


@pytest.fixture
def repository(repositories: list[Path]) -> Path:
    """A repository of the test's own."""
    return repositories.pop()


def age(root: Path) -> None:
    """Wait until no file's time stamp is younger than the resolution a digest is trusted at."""
    youngest = max(path.stat().st_ctime for path in root.rglob("*") if ".git" not in path.parts)
    time.sleep(max(0.0, youngest + 2.2 - time.time()))


def touch_all(root: Path) -> None:
    """Give every file a new time stamp, as a fresh clone would."""
    for path in root.glob("*.txt"):
        os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 1_000_000_000))


def validate(root: Path, since: str | None = None) -> Report:
    cache = root.parent / "cache"
    return ProcessPoolValidator(
        root, RULES, mode="sequential", cache_dir=cache, changed_since=since
    ).validate()


def test_unchanged_files_are_not_read_again(repository: Path) -> None:
    """After a fresh checkout the files that git says are unchanged need no hashing, and the result is the
    cached one."""
    first = validate(repository)
    assert (first.results[0].status, first.stats.hashed_files) == ("PASS", 5)
    touch_all(repository)
    again = validate(repository, "HEAD")
    assert again.stats.changed_since is not None
    assert again.stats.changed_since.startswith("5 files unchanged since HEAD")
    assert again.results[0].cached
    assert again.stats.hashed_files == 1  # the ignored file, of which git knows nothing


@pytest.mark.parametrize(
    "how", ["edit", "stage", "rename", "untracked", "ignored", "assume", "skip", "commit"]
)
def test_every_kind_of_change_is_seen(repository: Path, how: str) -> None:
    """Edits, staged edits, renames, new, ignored, hidden and committed changes are all seen: never a stale
    PASS."""
    validate(repository)
    base = git(repository, "rev-parse", "HEAD")
    target = repository / "file 1.txt"
    if how == "rename":
        git(repository, "mv", "file 1.txt", 'ünder "odd" name.txt')
        target = repository / 'ünder "odd" name.txt'
        target.write_text("good 1\nBAD\n")
    elif how == "untracked":
        (repository / "new.txt").write_text("BAD")
    elif how == "ignored":
        (repository / "ignored.log.txt").write_text("BAD")
    else:
        if how == "assume":
            git(repository, "update-index", "--assume-unchanged", "file 1.txt")
        if how == "skip":
            git(repository, "update-index", "--skip-worktree", "file 1.txt")
        target.write_text("BAD  1\n")
        if how in ("stage", "commit"):
            git(repository, "add", "file 1.txt")
        if how == "commit":
            git(repository, "commit", "-q", "-m", "second")
    report = validate(repository, base)
    assert (report.results[0].status, report.results[0].cached) == ("FAIL", False)


def test_a_change_that_keeps_size_and_time_is_seen(repository: Path) -> None:
    """A repository told to trust sizes and times alone is looked at more closely."""
    git(repository, "config", "core.trustctime", "false")
    git(repository, "config", "core.checkStat", "minimal")
    target = repository / "file 1.txt"
    git(repository, "status")
    validate(repository)
    before = target.stat()
    target.write_text("BAD  1\n")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert git(repository, "diff", "--name-only") == "", "git itself is misled"
    assert validate(repository, "HEAD").results[0].status == "FAIL"


@pytest.mark.parametrize("how", ["merge", "rebase"])
def test_a_conflict_under_way_is_no_reason_to_trust(repository: Path, how: str) -> None:
    """In the middle of a merge or a rebase with conflicts, changed files are seen and others are not read again."""
    base = git(repository, "rev-parse", "HEAD")
    validate(repository)
    git(repository, "checkout", "-q", "-b", "other")
    (repository / "file 1.txt").write_text("other\n")
    git(repository, "commit", "-q", "-a", "-m", "other")
    git(repository, "checkout", "-q", "-b", "mine", base)
    (repository / "file 1.txt").write_text("BAD\n")
    git(repository, "commit", "-q", "-a", "-m", "mine")
    with pytest.raises(subprocess.CalledProcessError):
        git(repository, how, "other")
    touch_all(repository)
    report = validate(repository, base)
    assert (report.results[0].status, report.results[0].cached) == ("FAIL", False)
    assert (report.stats.changed_since or "").startswith("4 files unchanged")


def test_a_commit_a_shallow_clone_lacks_means_a_full_run(repository: Path, tmp_path: Path) -> None:
    """A shallow clone cannot tell what changed since a commit it does not have."""
    first = git(repository, "rev-parse", "HEAD")
    (repository / "file 1.txt").write_text("good again\n")
    git(repository, "commit", "-q", "-a", "-m", "second")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "clone")
    for revision in (first, "HEAD~1"):
        report = validate(clone, revision)
        assert report.results[0].status == "PASS"
        assert (report.stats.changed_since or "").startswith("full run: git must be able to answer")


def test_a_deleted_file_is_seen(repository: Path) -> None:
    """Deleting a file changes what the rule's glob matched, so the rule runs again."""
    validate(repository)
    (repository / "file 2.txt").unlink()
    assert not validate(repository, "HEAD").results[0].cached


def test_sub_folders_of_a_repository_work(repository: Path) -> None:
    """The root may be a folder inside of the repository; paths are taken relative to it."""
    sub = repository / "sub"
    sub.mkdir()
    (sub / "a.txt").write_text("good")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "sub")
    age(repository)
    validate(sub)
    os.utime(sub / "a.txt", ns=(0, 1_000_000_000))
    report = validate(sub, "HEAD")
    assert report.stats.changed_since is not None
    assert report.stats.changed_since.startswith("1 files unchanged")
    (sub / "a.txt").write_text("BAD!")
    assert validate(sub, "HEAD").results[0].status == "FAIL"


def test_what_git_cannot_answer_means_a_full_run(tmp_path: Path, repository: Path) -> None:
    """No repository, an unknown revision or a revision without saved digests: everything is hashed, and said
    so."""
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "a.txt").write_text("good")
    said = {
        plain: "full run: git must be able to answer",
        repository: "full run: no earlier run saved digests for HEAD",
    }
    for root, expected in said.items():
        report = validate(root, "HEAD")
        assert report.results[0].status == "PASS"
        assert (report.stats.changed_since or "").startswith(expected)
    for revision in ("no-such-revision", "HEAD~999", "HEAD:a.txt", "a\nb", "a\0b", "\udc80", ""):
        unknown = validate(repository, revision)
        assert (unknown.stats.changed_since or "").startswith("full run: git must be able to answer")
    assert "must not begin with a dash" in (validate(repository, "--output=x").stats.changed_since or "")


def test_the_callers_git_environment_does_not_mislead(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a hook git's own variables point elsewhere; the root's repository is asked all the same."""
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    assert len(resolve(repository, "HEAD")) == 40


def test_name_status_is_parsed_by_fields() -> None:
    """Renames and copies have two paths, others one; names may hold anything but a null byte."""
    output = b"M\0a b\0R087\0old\n\0new\0D\0gone\0C100\0x\0y\0"
    assert parse_name_status(output) == {"a b", "old\n", "new", "gone", "x", "y"}
    assert parse_name_status(b"") == set()
    for bad in (b"M\0", b"R100\0a\0", b"?\0a\0", b"a\0b\0"):
        with pytest.raises(GitError, match="must give a status"):
            parse_name_status(bad)


def test_changes_are_listed_relative_to_the_root(repository: Path) -> None:
    """Changed paths come as the index writes them."""
    (repository / "file 0.txt").write_text("x")
    (repository / "new.txt").write_text("x")
    assert changed_paths(repository, resolve(repository, "HEAD")) == {
        "file 0.txt",
        "new.txt",
        "ignored.log.txt",
    }
