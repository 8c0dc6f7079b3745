"""The event loop of async arms."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from .errors import InvalidArm

if TYPE_CHECKING:
    import asyncio


class EventLoop:
    """One event loop for all async arms of a benchmark, started on first use and kept open.

    It never becomes the thread's current loop, so a loop the test has set stays set.
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self._runner: asyncio.Runner | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return the result of ``coroutine``; raises `InvalidArm` inside a running event loop."""
        import asyncio  # takes longer to load than a plain run of most tests; sync arms never need it

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            coroutine.close()
            raise InvalidArm(
                "async arms need a thread without a running event loop, received a call from inside one; "
                "make the test a plain `def test_...` (the arms themselves stay async)"
            )
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        return self._runner.run(coroutine)

    def close(self) -> None:
        """Cancel what arms left running in the loop and close it."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None
