"""Figures as people read them: exact texts."""

from __future__ import annotations

import pytest

from pytest_optbench.report import units


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.7497, "74.97 %"), (0.0, "0.00 %"), (-0.00001, "0.00 %"), (-2.5, "-250.00 %"), (1.0, "100.00 %"),
        (0.99999, "99.999 %"), (0.9999999, "99.99999 %"), (None, "n/a"), (-1e6, "-1e+08 %"),
    ],
)  # fmt: skip
def test_percent(fraction: float | None, text: str) -> None:
    """Two decimals, more where a part would read as the whole, no negative zero."""
    assert units.percent(fraction) == text


def test_percent_with_a_sign() -> None:
    """A change shows its plus."""
    assert units.percent(0.034, 1, sign=True) == "+3.4 %"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.000x"), (3.9952, "3.995x"), (9.99996, "10.00x"), (99.9996, "100.0x"), (322.194, "322.2x"),
        (12345.6, "12346x"), (0.2503, "0.2503x"), (0.00012346, "0.0001235x"), (None, "n/a"), (0.0, "0x"),
    ],
)  # fmt: skip
def test_ratio(value: float | None, text: str) -> None:
    """Four significant digits and an x."""
    assert units.ratio(value) == text


def test_a_gain_is_shown_both_ways() -> None:
    """74.97 % of time saved and 3.995x are one figure and stand together."""
    assert units.both(1 / (1 - 0.7497)) == "74.97 % = 3.995x"
    assert units.both_interval(1 / (1 - 0.7432), 1 / (1 - 0.7563)) == "74.32 % to 75.63 % = 3.894x to 4.103x"
    assert units.both(0.5) == "-100.00 % = 0.5000x"
    assert units.both(None) == units.both_interval(1.0, None) == "n/a"
    assert units.time_saved(None) is None
    assert units.time_saved(0.0) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (14.685, "14.69 s"), (0.009122, "9.122 ms"), (0.99996, "1.000 s"), (3.4e-6, "3.400 µs"),
        (5e-9, "5.000 ns"), (5e-12, "0.005 ns"), (0, "0 s"), (None, "n/a"), (3600.0, "3600 s"),
    ],
)  # fmt: skip
def test_seconds(value: float | None, text: str) -> None:
    """The unit fits the figure."""
    assert units.seconds(value) == text


def test_a_spread_has_the_unit_of_its_mean() -> None:
    """A mean and its standard deviation can be compared at a glance."""
    assert units.seconds_and_spread(10.128, 0.152) == "10.13 s ± 0.152 s (sd)"
    assert units.seconds_and_spread(0.00912, 0.00014) == "9.120 ms ± 0.14 ms (sd)"
    assert units.seconds_and_spread(0.0, 1e-9) == "0 s ± 1.000 ns (sd)"
    assert units.seconds_and_spread(None, None) == "n/a"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5000"), (0.0124, "0.0124"), (0.00042, "4.2e-04"), (1e-6, "1.0e-06"), (9.9e-7, "<1e-6"),
     (0.0, "<1e-6"), (None, "n/a")],
)  # fmt: skip
def test_p_values(value: float | None, text: str) -> None:
    """No p-value pretends to be known below one in a million."""
    assert units.p_value(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (3.14159, "3.142"), (None, "n/a"), (1234567.5, "1.23e+06"), (0.00001, "1e-05")],
)
def test_numbers(value: float | None, text: str) -> None:
    """Whole numbers have no point, tiny and huge ones an exponent."""
    assert units.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (52428800, "50.00 MiB"),
        (-2048, "-2.00 KiB"),
        (2**41, "2.00 TiB"),
        (None, "n/a"),
    ],
)
def test_bytes(value: float | None, text: str) -> None:
    """Memory is shown in binary units."""
    assert units.size(value) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1.00001, 1.00003, "0.001 % to 0.003 % = 1.00001x to 1.00003x"),
        (395.4, 398.6, "99.747 % to 99.749 % = 395.4x to 398.6x"),
        (1.05, 1.05, "4.76 % to 4.76 % = 1.050x to 1.050x"),
        (1.0, 1.0 + 1e-12, "0.00 % to 0.00 % = 1.000x to 1.000x"),
        (0.0002341, 0.0002361, "-427068 % to -423449 % = 0.0002341x to 0.0002361x"),
        (None, 1.0, "n/a"),
    ],
)
def test_the_ends_of_an_interval_can_be_told_apart(low: float | None, high: float, text: str) -> None:
    """Ends that differ are shown with more digits rather than alike, up to six; a huge loss has no decimals."""
    assert units.both_interval(low, high) == text
