"""The crc32c of a whole from those of its parts, so that parts may arrive in any order.

A crc is the remainder of a polynomial over GF(2). Appending `n` bytes multiplies what was before by x^(8n), so
crc(a + b) = crc(a)·x^(8·len(b)) + crc(b), all modulo the Castagnoli polynomial (RFC 3720, appendix B.4). The usual
inversions at both ends of a crc cancel out in this sum. Bits are stored reflected: x^0 is the highest bit.
"""

from __future__ import annotations

from functools import cache

_POLYNOMIAL = 0x82F63B78  # Castagnoli, reflected
_ONE = 0x80000000


def _times(a: int, b: int) -> int:
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@cache
def _shift(length_bytes: int) -> int:
    """x^(8·length_bytes), by repeated squaring."""
    power, square, exponent = _ONE, _ONE >> 1, 8 * length_bytes
    while exponent:
        if exponent & 1:
            power = _times(power, square)
        square = _times(square, square)
        exponent >>= 1
    return power


def join(first: int, second: int, second_length_bytes: int) -> int:
    """The crc32c of two pieces of data one after the other, from the crc32c of each."""
    return _times(_shift(second_length_bytes), first) ^ second
