"""Numbers as people read them; every figure of a report passes through here."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CNY": "CN¥", "INR": "₹", "KRW": "₩"}
_HAS_NO_CENTS = frozenset({"JPY", "KRW", "CLP", "VND", "ISK", "HUF"})


def is_number(value: object) -> bool:
    """Whether a value is a finite number; a report shows a dash for anything else."""
    return isinstance(value, int | float) and math.isfinite(value)


def count(value: float) -> str:
    """Returns a count with separators, rounded to whole ones.

    >>> count(1234.5)
    '1,234'
    """
    return f"{round(value):,}".replace("-", MINUS)


def money(micros: float, currency: str, *, cents: bool | None = None) -> str:
    """Returns micros as an amount; cents show below 1,000 unless said otherwise.

    >>> money(1_234_567_890, "USD"), money(9_500_000, "EUR")
    ('$1,235', '€9.50')
    """
    amount = micros / 1e6
    shows_cents = abs(amount) < 999.995 if cents is None else cents
    decimals = 2 if shows_cents and currency not in _HAS_NO_CENTS else 0
    sign = MINUS if round(amount, decimals) < 0 else ""
    unit = _SYMBOLS.get(currency, f"{currency}\N{NO-BREAK SPACE}")
    return f"{sign}{unit}{abs(amount):,.{decimals}f}"


def percent(share: float, decimals: int = 0) -> str:
    """Returns a share as a percentage; a share that is not a number as a dash.

    >>> percent(0.284), percent(0.0042, 1)
    ('28%', '0.4%')
    """
    if not is_number(share):
        return NONE
    return f"{100 * share:,.{decimals}f}%".replace("-", MINUS)


def probability(value: float) -> str:
    """Returns a probability as a percentage that never claims certainty.

    >>> probability(0.9999), probability(0.0001), probability(0.314)
    ('> 99%', '< 1%', '31%')
    """
    if not is_number(value):
        return NONE
    if value < 0.005:
        return "< 1%"
    return "> 99%" if value > 0.995 else percent(value)


def change(new: float, old: float) -> str:
    """Returns how much more or less the new value is; a dash where the old one is nothing.

    >>> change(110, 100), change(95, 100), change(100.2, 100)
    ('10% more', '5% less', 'about the same')
    """
    if not old:
        return NONE
    ratio = new / old - 1
    if abs(ratio) < 0.005:
        return "about the same"
    return f"{percent(abs(ratio))} {'more' if ratio > 0 else 'less'}"


def score(value: object, decimals: int = 3) -> str:
    """Returns a score such as an AUC; a dash where there is none.

    >>> score(0.78149)
    '0.781'
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        return NONE
    return f"{value:.{decimals}f}".replace("-", MINUS)


def signed(value: float) -> str:
    """Returns a difference of scores with its sign; nothing has none.

    >>> signed(0.0123), signed(-0.0004)
    ('+0.012', '0.000')
    """
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def date(time: datetime, zone: str) -> str:
    """Returns the day of an instant in a zone.

    >>> from datetime import UTC
    >>> date(datetime(2025, 6, 30, 23, tzinfo=UTC), "Europe/Paris")
    '1 July 2025'
    """
    local = time.astimezone(ZoneInfo(zone))
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year}"


def day_before(time: datetime, zone: str) -> str:
    """Returns the last day of a window that ends before an instant.

    >>> from datetime import UTC
    >>> day_before(datetime(2025, 7, 1, tzinfo=UTC), "UTC")
    '30 June 2025'
    """
    return date(time - timedelta(milliseconds=1), zone)


def days(value: float) -> str:
    """Returns days to the nearest, as the reasons say them; a dash where there is no such number.

    >>> days(12.7)
    '13'
    """
    return f"{value:,.0f}" if is_number(value) else NONE


def month(text: str) -> str:
    """Returns YYYY-MM as people write it.

    >>> month("2025-06")
    'Jun 2025'
    """
    year, number = text.split("-")
    return f"{_MONTHS[int(number) - 1][:3]} {year}"


# Spelt out here because strftime follows the locale of the machine.
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
