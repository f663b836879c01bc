"""The CRC-64 of Azure Storage (CRC-64/NVME: reflected polynomial 9A6C9329AC4BC9B5, inverted).

A long text is cut into lanes that NumPy goes through side by side; how their results join follows
from the CRC being linear: appending zeros to a text is a matrix on its CRC.
"""

from __future__ import annotations

import base64
import functools
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x9A6C9329AC4BC9B5
MASK = (1 << 64) - 1
LANES = 2048  # a power of 2
LONG_BYTES = 64 << 10  # from here on lanes pay

Words: TypeAlias = NDArray[np.uint64]


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


TABLE = [_entry(byte) for byte in range(256)]
_WORDS: Words = np.array(TABLE, dtype=np.uint64)


def crc64(data: bytes | memoryview, before: int = 0) -> int:
    """The CRC of a text, or of `before`'s text with this one after it."""
    state = before ^ MASK
    view = memoryview(data)
    width = len(view) // LANES
    if len(view) >= LONG_BYTES:
        state = _in_lanes(view[: width * LANES], state)
        view = view[width * LANES :]
    for byte in view.tobytes():
        state = TABLE[(state ^ byte) & 0xFF] ^ state >> 8
    return state ^ MASK


def joined(first: int, second: int, length: int) -> int:
    """The CRC of two texts together, from theirs and the length of the second."""
    if not length:
        return first
    return int(_apply(_zeros(length), np.array([first], np.uint64))[0]) ^ second


def encoded(crc: int) -> str:
    """A CRC as headers carry it."""
    return base64.b64encode(crc.to_bytes(8, "little")).decode()


def _in_lanes(view: memoryview, state: int) -> int:
    width = len(view) // LANES
    columns = np.ascontiguousarray(np.frombuffer(view, np.uint8).reshape(LANES, width).T)
    states: Words = np.zeros(LANES, np.uint64)
    states[0] = state
    low, byte = np.uint64(0xFF), np.uint64(8)
    for column in columns:
        states = _WORDS[(states ^ column) & low] ^ (states >> byte)
    zeros = width
    while len(states) > 1:
        states = _apply(_zeros(zeros), states[0::2]) ^ states[1::2]
        zeros *= 2
    return int(states[0])


@functools.lru_cache(maxsize=256)
def _zeros(count: int) -> Words:
    """What so many zero bytes make of each bit of a state."""
    bits = np.uint64(1) << np.arange(64, dtype=np.uint64)
    if count == 1:
        single: Words = _WORDS[bits & np.uint64(0xFF)] ^ (bits >> np.uint64(8))
        return single
    half = _zeros(count // 2)
    twice = _apply(half, half)
    if count % 2:
        twice = _apply(_zeros(1), twice)
    return twice


def _apply(matrix: Words, states: Words) -> Words:
    result: Words = np.zeros_like(states)
    one = np.uint64(1)
    for bit in range(64):
        result ^= matrix[bit] * (states >> np.uint64(bit) & one)
    return result
