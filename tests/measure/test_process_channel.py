"""The channel between driver and child: whole messages, in time, or a named error."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from pytest_optbench.measure import channel
from pytest_optbench.measure.channel import Channel, ChannelClosed, ChannelTimeout, Nonsense

Ends = tuple[Channel, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A channel, and the bare socket at its other end."""
    one, other = socket.socketpair()
    ours = Channel(one)
    yield ours, other
    ours.close()
    other.close()


def test_messages_arrive_whole_and_in_order(ends: Ends) -> None:
    """Messages are cut at line ends, however the bytes arrive."""
    ours, other = ends
    other.sendall(b'{"event": "a"}\n{"event"')
    assert ours.receive(5) == {"event": "a"}
    other.sendall(b': "b", "text": "line\\nbreak"}\n')
    assert ours.receive(5) == {"event": "b", "text": "line\nbreak"}


def test_what_is_sent_can_be_received(ends: Ends) -> None:
    """Both ends use one format, for messages larger than any buffer too."""
    ours, other = ends
    theirs = Channel(other.dup())
    ours.send(do="compare", data="x" * 10_000)
    assert theirs.receive(5) == {"do": "compare", "data": "x" * 10_000}
    theirs.close()


@pytest.mark.parametrize("line", [b"hello\n", b"[1, 2]\n", b"\xff\xfe\n", b"\n", b"[" * 100_000 + b"\n"])
def test_anything_but_an_object_is_nonsense(ends: Ends, line: bytes) -> None:
    """Text, other JSON, broken bytes and absurd nesting are refused, quoting their beginning."""
    ours, other = ends
    other.sendall(line)
    with pytest.raises(Nonsense, match=r"^b['\"]"):
        ours.receive(5)


def test_a_line_without_end_is_nonsense(ends: Ends) -> None:
    """A flood without a line end is cut off long before memory is."""
    ours, _ = ends
    ours._received += b"x" * (
        channel.LONGEST_LINE + 1
    )  # as if read before: 48 MiB through a socket take long
    with pytest.raises(Nonsense, match="a line longer than"):
        ours.receive(5)


def test_silence_ends_in_time(ends: Ends) -> None:
    """Half a message does not count as an answer."""
    ours, other = ends
    other.sendall(b'{"event": ')
    with pytest.raises(ChannelTimeout, match="no answer in time"):
        ours.receive(0.05)


def test_a_closed_end_is_noticed(ends: Ends) -> None:
    """Reading from and writing to an end that is gone are errors, not waits."""
    ours, other = ends
    other.close()
    with pytest.raises(ChannelClosed, match="is closed"):
        ours.receive(5)
    with pytest.raises(ChannelClosed, match="is closed"):
        ours.send(do="leave")
