"""A history can be published: no home folder, no machine name, no password, nothing that is run."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

import pyarrow.parquet as pq
from samples import decision

from pytest_optbench.document import command_line
from pytest_optbench.history.location import Location, without_secrets
from pytest_optbench.history.write import write_run
from pytest_optbench.private import clean, scrub


def test_texts_lose_the_home_folder_and_the_host() -> None:
    """A message, a setting or a note names neither; longer words that only begin alike stay."""
    doc = decision(
        notes="/users/ada/data on lovelace, /users/adam, lovelace2, lovelace.example.org",
        diagnostics=[{"code": "lovelace", "level": "warn", "message": "cannot open '/users/ada/x.csv'"}],
        config={"cache": ["/users/ada"]},
    )
    found = scrub(doc, home="/users/ada", host="lovelace.example.org")
    assert found["notes"] == "~/data on (host), /users/adam, lovelace2, (host)"
    assert found["diagnostics"] == [{"code": "lovelace", "level": "warn", "message": "cannot open '~/x.csv'"}]
    assert found["config"] == {"cache": ["~"]}


def test_the_names_of_settings_lose_them_too_and_stay_apart() -> None:
    """At any depth, in their order; two that become alike are numbered, and one that was so before keeps its name."""
    config = {
        "/users/ada/a": 1,
        "/users/adam/x on lovelace": [{"/users/ada": {"name": "/users/ada/b"}}],
        "/users/ada/link": 2,
        "~/link": 3,
        "~/link (2)": 4,
    }
    found = scrub(decision(config=config), home="/users/ada", host="lovelace")["config"]
    assert list(found.items()) == [
        ("~/a", 1),
        ("/users/adam/x on (host)", [{"~": {"name": "~/b"}}]),
        ("~/link (3)", 2),
        ("~/link", 3),
        ("~/link (2)", 4),
    ]
    assert scrub(decision(config=found), home="/users/ada", host="lovelace")["config"] == found


def test_only_settings_have_names_of_their_own() -> None:
    """The keys every decision has stay, whatever the machine is called."""
    doc = decision(config={"peak_bytes on baseline": 1})
    for host in ("baseline", "how", "isolation", "file"):
        found = scrub(doc, home="/", host=host)
        assert {key: list(found[key]) for key in ("memory", "protocol", "environment", "code")} == {
            key: list(doc[key]) for key in ("memory", "protocol", "environment", "code")
        }


def test_what_identifies_a_decision_is_never_changed() -> None:
    """Id, slug, title and numbers stay, whatever the machine is called."""
    doc = decision()
    assert scrub(doc, home="/", host="pool") == {
        **doc,
        **{k: scrub(doc, "/", "pool")[k] for k in ("code", "summary")},
    }
    for key in ("id", "slug", "title", "group", "verdict", "pairs"):
        assert scrub(doc, "/users/ada", "pool")[key] == doc[key]


def test_a_root_home_or_a_nameless_host_change_nothing() -> None:
    """Neither ``/`` as home nor ``localhost`` or no name at all is searched for."""
    doc = decision(notes="/ localhost /data")
    assert scrub(doc, home="/", host="localhost") == scrub(doc, home="/", host="") == doc


def test_paths_of_the_project_become_relative() -> None:
    """Below the root a path is relative, the root itself a dot; folders that only begin or end alike stay."""
    root = Path("/users/ada/project")
    assert (
        clean("/users/ada/project/src/a.py:3 in /users/ada/project", root, "/users/ada", "")
        == "src/a.py:3 in ."
    )
    assert clean(["/users/ada/project2/x", "/tmp/users/ada/project/x"], root, "/nobody", "") == [
        "/users/ada/project2/x", "/tmp/users/ada/project/x",
    ]  # fmt: skip
    assert clean({"id": "/users/ada", "reason": "/users/ada"}, root, "/users/ada") == {
        "id": "/users/ada", "reason": "~",
    }  # fmt: skip
    assert clean("/ and /x", Path("/"), "/", "") == "/ and /x"


def test_a_file_names_no_person_and_no_machine(history: Location) -> None:
    """Not one column of a written file holds the home folder or the name of this machine."""
    home, host = str(Path.home()), socket.gethostname()
    doc = decision(notes=f"{home}/x on {host}", equivalence={
        "checked": True, "passed": True, "how": f"compared on {host}", "message": f"read {home}/y",
    })  # fmt: skip
    path = Path(history.base) / write_run(history, [doc])
    table = pq.read_table(path)
    text = str(table.to_pylist()) + str(table.schema.metadata)
    assert f"{home}/" not in text
    assert f"on {host}" not in text
    assert f"/{getpass.getuser()}/" not in text
    assert "~/x on (host)" in text


def test_secrets_of_a_uri_are_never_shown() -> None:
    """User, password and query of a URI are left out of messages; a path stays as it is."""
    assert without_secrets("s3://key:secret@bucket/x?region=r&token=t") == "s3://bucket/x"
    assert without_secrets("hdfs://host:9000/x#f") == "hdfs://host:9000/x"
    assert without_secrets("s3://key:with/slash@bucket/x") == "s3://bucket/x"
    assert without_secrets("runs/a@b?c") == "runs/a@b?c"
    assert without_secrets("file:///runs/a@b") == "file:///runs/a@b"


def test_the_command_in_a_report_holds_no_place() -> None:
    """A report says that a history was kept, by scheme and last part, not where."""
    given = [
        "--optbench-history=s3://key:secret@bucket/x/runs?region=r&a=b", "-o",
        "optbench_history=hdfs://host:9000/runs/", "file:///users/ada", "s3://key:secret@", "t.py::test[http://x/y]",
    ]  # fmt: skip
    assert command_line(given, Path("/project")) == (
        "pytest --optbench-history=s3://.../runs -o optbench_history=hdfs://.../runs file://.../ada s3://.../ "
        "t.py::test[http://x/y]"
    )
