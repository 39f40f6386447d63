"""The codec: what goes in comes out; what is no data does not go in; what is no message does not come out."""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
import time
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evaluators.harness import wire

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
data = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)
dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
)


@given(data)
def test_data_survives(value: Any) -> None:
    assert wire.decode(wire.encode(value)) == value


@given(hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, min_side=0)))
def test_arrays_survive(array: np.ndarray) -> None:
    back = wire.decode(wire.encode({"a": [array]}))["a"][0]
    assert back.dtype == array.dtype
    assert back.tobytes() == np.ascontiguousarray(array).tobytes() and back.shape == array.shape
    assert back.flags.writeable


@given(st.binary(max_size=60))
def test_any_bytes_are_data_or_refused(body: bytes) -> None:
    with contextlib.suppress(wire.WireError):
        wire.encode(wire.decode(body))


@pytest.mark.parametrize(
    ("value", "back"),
    [
        ((1, (2,)), [1, [2]]),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.int64(3), 3),
        (2**200, 2**200),
        (-(2**63) - 1, -(2**63) - 1),
        (np.arange(6).reshape(2, 3).T[::2], [[0, 3], [2, 5]]),
    ],
)
def test_relatives_of_data_become_data(value: Any, back: Any) -> None:
    got = wire.decode(wire.encode(value))
    assert (got.tolist() if isinstance(got, np.ndarray) else got) == back and type(got) is not tuple


def test_nan_survives() -> None:
    assert math.isnan(wire.decode(wire.encode(math.nan)))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"a": [1, {2, 3}]}, r"set at \['a'\]\[1\]"),
        ([lambda: 0], r"function at \[0\]"),
        ({"a": {1: 2}}, r"at \['a'\] has the key 1"),
        (np.array(["a"]), "ndarray of dtype <U1"),
        (np.array([None]), "ndarray of dtype object"),
        (np.ma.masked_array([1.0]), "MaskedArray"),
        (1j, "complex"),
        ("\ud800", "surrogate"),
    ],
)
def test_what_is_not_data_is_named_with_its_place(value: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        wire.encode(value)


def test_a_list_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TypeError, match="deep"):
        wire.encode(loop)


def array_frame(dtype: bytes, shape: tuple[int, ...], raw: bytes, ndim: int | None = None) -> bytes:
    head = struct.pack(
        f">B{len(dtype)}sB{len(shape)}Q", len(dtype), dtype, len(shape) if ndim is None else ndim, *shape
    )
    return bytes(msgpack.packb(msgpack.ExtType(wire.ARRAY, head + raw)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\xc0\xc0",
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 5000 + b"\xc0",
        b"\x81\x01\x02",
        b"\x81\x90\x02",
        b"\xa1\xff",
        b"\xdd" + struct.pack(">I", wire.COST + 1) + b"\x90" * (wire.COST + 1),
        msgpack.packb(msgpack.ExtType(9, b"")),
        msgpack.packb(msgpack.ExtType(wire.SERVICE, b"tool")),
        msgpack.packb(msgpack.ExtType(wire.ARRAY, b"")),
        array_frame(b"|O", (1,), b"12345678"),
        array_frame(b"<f3", (1,), b"123"),
        array_frame(b"<f8", (2,), b"12345678"),
        array_frame(b"<f8", (2**63, 2), b""),
        array_frame(b"<f8", (0, 2**63), b""),
        array_frame(b"<f8", (1,), b"12345678", ndim=200),
        array_frame(b"\xff\xff\xff", (1,), b"12345678"),
    ],
)
def test_hostile_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(body)


def test_messages_pass_a_channel_in_order() -> None:
    left, right = (wire.Channel(end) for end in socket.socketpair())
    for message in ("a", [1], {"b": None}):
        left.send(message)
    assert [right.receive() for _ in range(3)] == ["a", [1], {"b": None}]


def test_a_frame_over_the_limit_is_refused_on_both_sides() -> None:
    here, there = socket.socketpair()
    small = wire.Channel(here, limit=100)
    with pytest.raises(wire.TooLarge):
        small.send("x" * 101)
    there.sendall(struct.pack(">I", 101))
    with pytest.raises(wire.TooLarge):
        small.receive()


def test_waiting_ends_at_the_deadline_by_the_watched_and_by_a_closed_end() -> None:
    (here, there), (watched, other) = socket.socketpair(), socket.socketpair()
    channel = wire.Channel(here, watch=watched.fileno())
    with pytest.raises(TimeoutError):
        channel.receive(time.monotonic())
    with pytest.raises(TimeoutError):
        channel.send(b"x" * (1 << 22), time.monotonic())
    other.close()
    with pytest.raises(wire.Interrupted):
        channel.receive()
    there.close()
    with pytest.raises(wire.Closed):
        channel.receive()


def test_urgent_bytes_and_a_message_that_trickles_in_meet_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    looks: list[float] = []
    channel = wire.Channel(ours, meanwhile=lambda: looks.append(time.monotonic()))
    with theirs, contextlib.closing(channel):
        theirs.send(b"!", socket.MSG_OOB)
        with pytest.raises(TimeoutError):
            channel.receive(time.monotonic() + 0.1)

        def trickle() -> None:
            theirs.send(wire.HEADER.pack(wire.LIMIT))
            with contextlib.suppress(OSError):  # until the other end is closed
                while True:
                    theirs.send(b"\0")

        thread = threading.Thread(target=trickle)
        thread.start()
        with pytest.raises(TimeoutError):
            channel.receive(time.monotonic() + 0.1)
        channel.close()
        thread.join()
    assert len(looks) > 5
