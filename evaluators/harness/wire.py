"""The codec that both sides of a candidate's channel share: data only, no pickle, no code.

Data is None, bool, int of any size, float, str, bytes, list, dict with text keys and plain numeric numpy arrays. Tuples
arrive as lists, numpy scalars as Python numbers. A frame is four bytes of length (big-endian) and one msgpack value;
three msgpack extensions carry what msgpack lacks: big integers, arrays, and names of services.

Does not cover: a frame at the cap may take up to some forty times its size in memory once decoded.
"""

from __future__ import annotations

import math
import re
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgpack

LIMIT = 64 << 20  # bytes in one frame
DEPTH = 100  # lists and dicts inside one another
COST = 1 << 21  # of one message: a list, a dict, a big integer costs 1, eight items of a list as much, an array 16
BIG_INT, ARRAY, SERVICE = 1, 2, 3
HEADER = struct.Struct(">I")
DTYPE = re.compile(r"[<>|](b1|[iu][1248]|f[248]|c8|c16)")
ATOMS = frozenset({type(None), bool, int, float, str, bytes})
BASES: dict[type, Callable[[Any], Any]] = {int: int, float: float, str: str.__str__, bytes: bytes, bytearray: bytes}
CHUNK = 1 << 18


class WireError(Exception):
    """Raised for bytes that are no message."""


class TooLarge(WireError):
    """Raised for a message beyond the size limit, on either side."""


class Closed(WireError):
    """Raised when the other end is gone."""


class Interrupted(Exception):
    """Raised when the watched descriptor became readable before a message came."""


@dataclass(frozen=True)
class Service:
    """A reference to a function on the scorer's side; arrives in the sandbox as a callable."""

    name: str


# ---------------------------------------------------------------- encoding


def encode(value: Any, limit: int = LIMIT) -> bytes:
    """Returns the bytes of a value. Raises TypeError, naming type and place, for what is not data; TooLarge beyond `limit`."""
    try:
        body: bytes = msgpack.packb(_plain(value, []), default=_big_int)
    except UnicodeEncodeError:
        raise TypeError("text with a lone surrogate is not data") from None
    if len(body) > limit:
        raise TooLarge(f"a message of {len(body):,} bytes is over the limit of {limit:,}")
    return body


def _plain(value: Any, trail: list[Any]) -> Any:
    """Returns the value in types that msgpack packs; `trail` holds the way to it."""
    kind = type(value)
    if kind in ATOMS:
        return value
    if len(trail) > DEPTH:
        raise TypeError(f"data may be nested {DEPTH} deep, not deeper (does it hold itself?)")
    if isinstance(value, (list, tuple)):
        return [item if type(item) in ATOMS else _at(i, item, trail) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {_key(key, trail): _at(key, item, trail) for key, item in value.items()}
    if kind is Service:
        return msgpack.ExtType(SERVICE, value.name.encode())
    return _number_or_array(value, kind, trail)


def _at(key: Any, item: Any, trail: list[Any]) -> Any:
    trail.append(key)
    plain = _plain(item, trail)
    trail.pop()
    return plain


def _key(key: Any, trail: list[Any]) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    raise TypeError(f"a dict{_place(trail)} has the key {key!r}; keys must be text")


def _number_or_array(value: Any, kind: type, trail: list[Any]) -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is not None and kind is numpy.ndarray and DTYPE.fullmatch(value.dtype.str):
        return msgpack.ExtType(ARRAY, _pack_array(value))
    if numpy is not None and isinstance(value, numpy.generic) and type(value.item()) in ATOMS:
        return value.item()
    for base, plain in BASES.items():
        if isinstance(value, base):
            return plain(value)
    name = f"{kind.__name__} of dtype {value.dtype}" if hasattr(value, "dtype") else kind.__name__
    raise TypeError(f"{name}{_place(trail)} is not data (numbers, text, bytes, lists, dicts, numeric arrays)")


def _place(trail: list[Any]) -> str:
    return " at " + "".join(f"[{key!r}]" for key in trail) if trail else ""


def _big_int(value: Any) -> msgpack.ExtType:
    """msgpack asks this for integers beyond 64 bits; all else was made plain before."""
    return msgpack.ExtType(BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def _pack_array(array: Any) -> bytes:
    return _array_head(array.dtype.str, array.shape) + bytes(array.tobytes())


@lru_cache(256)
def _array_head(dtype: str, shape: tuple[int, ...]) -> bytes:
    return struct.pack(f">B{len(dtype)}sB{len(shape)}Q", len(dtype), dtype.encode(), len(shape), *shape)


# ---------------------------------------------------------------- decoding


def decode(body: bytes, service: Callable[[str], Any] | None = None) -> Any:
    """Returns the value of bytes from an untrusted side. Raises WireError for anything but data.

    `service` makes a callable of a service's name; without it, references are refused.
    """
    hooks = _Hooks(service)
    try:
        return msgpack.unpackb(
            body,
            list_hook=hooks.of_list,
            object_pairs_hook=hooks.of_dict,
            ext_hook=hooks.ext,
            timestamp=1,
            max_array_len=8 * COST,
        )
    except (
        ValueError,
        TypeError,
        IndexError,
        OverflowError,
        struct.error,
        MemoryError,
        msgpack.UnpackException,
    ) as error:
        raise WireError(f"not a message: {error or type(error).__name__}") from None


class _Hooks:
    """Bounds what a message costs to make, and builds what msgpack has no type for."""

    __slots__ = ("left", "service")

    def __init__(self, service: Callable[[str], Any] | None):
        self.left = COST
        self.service = service

    def of_list(self, items: list[Any]) -> list[Any]:
        self._pay(1 + len(items) // 8)
        return items

    def of_dict(self, pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
        self._pay(1 + len(pairs) // 2)
        if not all(type(key) is str for key, _ in pairs):
            raise WireError("a dict has a key that is not text")
        return dict(pairs)

    def ext(self, code: int, data: bytes) -> Any:
        self._pay(16 if code == ARRAY else 1)
        if code == BIG_INT:
            return int.from_bytes(data, "little", signed=True)
        if code == ARRAY:
            return _unpack_array(data)
        if code == SERVICE and self.service is not None:
            return self.service(data.decode())
        raise WireError(f"unknown extension {code}")

    def _pay(self, cost: int) -> None:
        self.left -= cost
        if self.left < 0:
            raise WireError("too many lists, dicts, arrays or items of lists in one message; send one array instead")


def _unpack_array(data: bytes) -> Any:
    start = 2 + data[0]
    start += 8 * data[start - 1]
    dtype, shape, size = _read_head(data[:start])
    if size != len(data) - start:
        raise WireError(f"an array of shape {shape} and dtype {dtype} with {len(data) - start} bytes")
    import numpy

    return numpy.frombuffer(data, dtype, offset=start).reshape(shape).copy()


@lru_cache(256)
def _read_head(head: bytes) -> tuple[str, tuple[int, ...], int]:
    """Returns dtype, shape and size in bytes."""
    length = head[0]
    dtype = head[1 : 1 + length].decode("ascii")
    if not DTYPE.fullmatch(dtype):
        raise WireError(f"an array of dtype {dtype!r} is not plain and numeric")
    shape = struct.unpack_from(f">{head[1 + length]}Q", head, 2 + length)
    return dtype, shape, math.prod(shape) * int(dtype[2:])


# ---------------------------------------------------------------- framing


class Channel:
    """Messages over a stream socket.

    Blocking unless a deadline (a `time.monotonic()` value) or a descriptor to watch is given. One reader, one writer. Where
    `watch` becomes readable while no message waits, `receive` raises Interrupted; a message that is there goes first.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        limit: int = LIMIT,
        service: Callable[[str], Any] | None = None,
        watch: int | None = None,
    ):
        self._socket = sock
        self._limit = limit
        self._service = service
        self._watch = watch
        self._buffer = bytearray()
        self._pollers = {event: self._poller(event) for event in (select.POLLIN, select.POLLOUT)}

    def send(self, message: Any, deadline: float | None = None) -> None:
        """Sends one message. Raises TypeError or TooLarge before a byte has left, TimeoutError, Interrupted, Closed."""
        body = encode(message, self._limit)
        frame = memoryview(HEADER.pack(len(body)) + body)
        flags = 0 if deadline is None else socket.MSG_DONTWAIT
        while frame:
            try:
                frame = frame[self._socket.send(frame, flags | socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
                if deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError("not read in time") from None
            except OSError as error:
                raise Closed(f"the other end is gone: {error}") from None

    def receive(self, deadline: float | None = None) -> Any:
        """Returns the next message. Raises WireError (Closed, TooLarge), TimeoutError, Interrupted."""
        late = False
        while (body := self._next()) is None:
            if late:
                raise TimeoutError("no whole message in time")
            if deadline is not None or self._watch is not None:
                self._wait(select.POLLIN, deadline)
            self._fill(waits=deadline is None and self._watch is None)
            late = deadline is not None and time.monotonic() >= deadline
        return decode(body, self._service)

    def close(self) -> None:
        self._socket.close()

    def _poller(self, event: int) -> select.poll:
        poller = select.poll()
        poller.register(self._socket, event)
        if self._watch is not None:
            poller.register(self._watch, select.POLLIN)
        return poller

    def _next(self) -> bytes | None:
        have = len(self._buffer)
        if have < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._buffer)
        if length > self._limit:
            raise TooLarge(f"a message of {length:,} bytes is over the limit of {self._limit:,}")
        end = HEADER.size + length
        if have < end:
            return None
        body = bytes(memoryview(self._buffer)[HEADER.size : end])
        del self._buffer[:end]
        return body

    def _fill(self, waits: bool) -> None:
        try:
            chunk = self._socket.recv(CHUNK, 0 if waits else socket.MSG_DONTWAIT)
        except BlockingIOError:  # urgent bytes count as readable, and are not read
            return
        except OSError as error:
            raise Closed(f"the other end is gone: {error}") from None
        if not chunk:
            raise Closed("the other end closed the channel")
        self._buffer += chunk

    def _wait(self, event: int, deadline: float | None) -> None:
        left = None if deadline is None else math.ceil(1000 * max(0.0, deadline - time.monotonic()))
        ready = {descriptor for descriptor, _ in self._pollers[event].poll(left)}
        if self._socket.fileno() in ready:
            return
        if ready:
            raise Interrupted
        raise TimeoutError("no answer in time")
