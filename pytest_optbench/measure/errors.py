"""What can go wrong while measuring. `MeasureError` is the base of all of it except the time limit."""

from __future__ import annotations


class MeasureError(Exception):
    """Base of the errors of measuring."""


class InvalidArm(MeasureError, TypeError):
    """An arm, a setup or their combination cannot be measured as it is written."""


class ArmRaised(MeasureError):
    """An arm, or the setup before it, raised; the original exception is ``__cause__`` and ``original``."""

    def __init__(self, arm: str, stage: str, original: BaseException) -> None:
        """Take the arm's name, what was running (``"arm"`` or ``"setup"``) and what it raised."""
        super().__init__(arm, stage, original)
        self.arm = arm
        self.stage = stage
        self.original = original

    def __str__(self) -> str:
        """Say which arm raised what."""
        who = f"arm {self.arm!r}" if self.stage == "arm" else f"setup of arm {self.arm!r}"
        return f"{who} raised {type(self.original).__name__}: {self.original}"


class TimeLimitReached(BaseException):
    """The hard time limit interrupted an arm.

    Not an `Exception`, so that ``except Exception`` inside an arm cannot swallow it.
    """

    def __init__(self, seconds: float) -> None:
        """Take the limit in seconds."""
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        """State the limit."""
        return f"an arm was still running after {self.seconds:g} s, the hard time limit of this benchmark"
