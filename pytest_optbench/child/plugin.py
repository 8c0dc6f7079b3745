"""The pytest plugin of a child process, given with ``-p`` by the driver; see the package. PYTEST_DONT_REWRITE"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Generator

import pytest

from ..plugin import OPTBENCH
from . import fixtures
from .connection import NotAChild, connect
from .fixture import CHILD, ArmMeasured, ChildOptbench
from .items import is_marked
from .neutral import neutralise, unregister_benchmarks, unregister_memories
from .session import ChildSession
from .work import Call


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """Connect, and keep plugins that start early (capture, coverage) from starting."""
    try:
        session = ChildSession(connect(os.environ))
    except NotAChild as error:
        raise pytest.UsageError(str(error)) from None
    early_config.stash[CHILD] = session
    early_config.stash[OPTBENCH] = ChildOptbench
    neutralise(early_config.known_args_namespace)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    """Switch off what acts on a run as a whole, before any plugin is configured."""
    neutralise(config.option)
    # Or two children, and the user's earlier runs, would get in each other's way.
    if hasattr(config.option, "basetemp"):
        config.option.basetemp = config.stash[CHILD].connection.temp
    unregister_benchmarks(config)
    config.pluginmanager.register(config.stash[CHILD], "optbench-child")
    config.pluginmanager.register(fixtures, "optbench-child-fixtures")
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Switch off what was registered while configuring."""
    unregister_memories(config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Let a test end where its arm was measured."""
    with contextlib.suppress(ArmMeasured):
        yield


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_set_timer() -> bool:
    """Set no timer of pytest-timeout: tests wait for their turn here, and the driver has a limit of its own."""
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Time the whole body of a test that is marked as a benchmark."""
    if not is_marked(pyfuncitem):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    body = functools.partial(pyfuncitem.obj, **arguments) if arguments else pyfuncitem.obj
    pyfuncitem.config.stash[CHILD].serve(pyfuncitem, Call(body, (), {}))
    return True
