"""Decimal numbers in Avro: a whole number in big-endian two's complement, and a fixed scale."""

from __future__ import annotations

from decimal import Decimal

from millrace.schemas.codec.types import Decimals, Fixed

_MAX_BYTES = 4_096  # more than any precision needs, padding included


def from_bytes(declared: Decimals, data: bytes) -> Decimal:
    r"""Return the number that bytes hold.

    Raises
    ------
    ValueError
        It has more digits than the precision.

    Examples
    --------
    >>> from_bytes(Decimals("bytes", 4, 2), b"\x04\xd2")
    Decimal('12.34')
    """
    if len(data) > _MAX_BYTES:
        raise ValueError(f"a decimal of {len(data)} bytes")
    unscaled = int.from_bytes(data, signed=True)
    if abs(unscaled) >= 10**declared.precision:
        raise ValueError(f"a decimal of more than {declared.precision} digits")
    return Decimal((unscaled < 0, tuple(map(int, str(abs(unscaled)))), -declared.scale))


def to_bytes(declared: Decimals, value: Decimal) -> bytes:
    """Return the bytes of a number.

    Raises
    ------
    ValueError
        It has more digits than the precision or the scale allow, or is not finite.
    """
    unscaled = _unscaled(declared, value)
    if isinstance(declared.base, Fixed):
        return unscaled.to_bytes(declared.base.size, signed=True)
    return unscaled.to_bytes((unscaled + (unscaled < 0)).bit_length() // 8 + 1, signed=True)


def from_text(declared: Decimals, text: str) -> Decimal:
    """Return the number whose bytes are the characters of a text, as in Avro's JSON encoding.

    Raises
    ------
    ValueError
        They are not.
    """
    data = text.encode("latin-1")
    if isinstance(declared.base, Fixed) and len(data) != declared.base.size:
        raise ValueError(f"a decimal of {len(data)} bytes")
    return from_bytes(declared, data)


def rescaled(declared: Decimals, value: Decimal) -> Decimal:
    """Return a number as it comes back from Avro, with all digits of its scale.

    Raises
    ------
    ValueError, OverflowError
        It cannot be written.
    """
    return from_bytes(declared, to_bytes(declared, value))


def _unscaled(declared: Decimals, value: Decimal) -> int:
    if not value.is_finite():
        raise ValueError(f"a decimal must be finite; got {value}")
    sign, digits, exponent = value.as_tuple()
    shift = int(exponent) + declared.scale
    while shift < 0 and len(digits) > 1 and digits[-1] == 0:
        digits, shift = digits[:-1], shift + 1
    if not any(digits):
        return 0
    if shift < 0 or len(digits) + shift > declared.precision:
        raise ValueError(
            f"a decimal must have at most {declared.precision} digits, {declared.scale} of them"
            f" behind the point; got {len(digits)} digits"
        )
    whole: int = int("".join(map(str, digits))) * 10**shift
    return -whole if sign else whole
