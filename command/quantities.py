"""Quantities as text for people."""

from command.languages import Language, localized


def format_bytes(num_bytes: int, language: Language = "en") -> str:
    """A number of bytes in a fitting unit.

    >>> format_bytes(999), format_bytes(1_799_999_999), format_bytes(1_799_999_999, "pt")
    ('999 B', '1.8 GB', '1,8 GB')
    """
    amount = float(num_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return localized(f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}", language)
        amount /= 1000
    return localized(f"{amount:.1f} TB", language)


def format_duration(seconds: float) -> str:
    """Seconds as hours and minutes, as minutes and seconds, or as seconds.

    >>> format_duration(7_380), format_duration(61.4), format_duration(9)
    ('2h03m', '1m01s', '9s')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s" if minutes else f"{seconds}s"
