"""Quantities as text for people."""


def format_bytes(num_bytes: int) -> str:
    """A number of bytes in a fitting unit.

    >>> format_bytes(999), format_bytes(1_799_999_999)
    ('999 B', '1.8 GB')
    """
    amount = float(num_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
