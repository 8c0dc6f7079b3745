"""Where runs are called from: really other addresses, and nothing else changed."""

import ctypes
import sys

import pytest

from pytest_optbench.measure.arm import Arm
from pytest_optbench.measure.clock import SYSTEM_CLOCK
from pytest_optbench.measure.layout import PAGE, STEP, FixedPlace, RandomPlace, as_it_comes

_AFTER_HEADER_AND_BACK = object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)


def frame_address() -> int:
    """Return where the interpreter keeps the frame of the caller (CPython's ``PyFrameObject.f_frame``)."""
    return ctypes.c_void_p.from_address(id(sys._getframe(1)) + _AFTER_HEADER_AND_BACK).value or 0


def frame_in_arm(place) -> int:
    """Return where the frame of an arm lies when its run is called at ``place``."""
    seen = []
    Arm("arm", lambda: seen.append(frame_address())).run(1, SYSTEM_CLOCK, place)
    return seen[0]


def test_a_fixed_place_moves_the_frame_by_its_offset():
    """The frame of an arm lies as many bytes further on as was asked for."""
    offsets = (0, STEP, 256, PAGE - STEP)
    addresses = [frame_in_arm(FixedPlace(offset)) for offset in offsets]
    assert tuple(address - addresses[0] for address in addresses) == offsets


def test_a_random_place_reaches_the_whole_page():
    """Over many runs frames lie in every sixteenth of a page, and nearly never at the same place."""
    place = RandomPlace(1)
    addresses = [frame_in_arm(place) for _ in range(300)]
    assert {address % PAGE // 256 for address in addresses} == set(range(16))
    assert len({address % PAGE for address in addresses}) > 100


def test_the_seed_settles_the_places():
    """The same seed draws the same places, another one others."""
    first, again, other = ([frame_in_arm(RandomPlace(seed)) for _ in range(1)] for seed in (7, 7, 8))
    assert first == again != other


def test_results_arguments_and_exceptions_pass_through():
    """A place changes nothing but where the call comes from."""

    def divide(a, b):
        return a / b

    for place in (as_it_comes, FixedPlace(64), RandomPlace(3)):
        assert place(divide, 6, 3) == 2
        with pytest.raises(ZeroDivisionError):
            place(divide, 1, 0)


@pytest.mark.parametrize("offset", [-16, 8])
def test_an_impossible_offset_is_refused(offset):
    """An offset that is negative or no multiple of the step is an error that says so."""
    with pytest.raises(ValueError, match=f"multiple of 16 of at least 0, received {offset}"):
        FixedPlace(offset)
