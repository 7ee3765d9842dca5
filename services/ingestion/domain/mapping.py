"""What a mapping file says: which columns of a source mean what."""

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from enum import Enum

DEFAULT_NULL_VALUES = ("", "NULL", "null", "NaN", "nan", "None")


class SourceKind(Enum):
    """How rows of a source become events."""

    SEGMENT = "segment"
    """One Segment-spec JSON object a row."""
    EVENTS = "events"
    """One event a row, its parts in columns."""
    ORDERS = "orders"
    """One line of an order a row; lines of one order at one instant become one event."""


class Role(Enum):
    """What a column can mean."""

    MESSAGE_ID = "message_id"
    TYPE = "type"
    EVENT = "event"
    USER = "user"
    ANONYMOUS = "anonymous"
    TIME = "time"
    ORDER = "order"
    REVENUE = "revenue"
    PRODUCT = "product"
    QUANTITY = "quantity"
    UNIT_PRICE = "unit_price"
    AMOUNT = "amount"
    CAMPAIGN = "campaign"
    CHANNEL = "channel"


ROLES: MappingOf[SourceKind, frozenset[Role]] = {
    SourceKind.SEGMENT: frozenset(),
    SourceKind.EVENTS: frozenset(Role) - {Role.AMOUNT},
    SourceKind.ORDERS: frozenset(
        {Role.ORDER, Role.USER, Role.TIME, Role.PRODUCT, Role.QUANTITY}
        | {Role.UNIT_PRICE, Role.AMOUNT}
    ),
}
"""Which roles the columns of each kind of source can have."""


@dataclass(frozen=True)
class Column:
    """Where one role is found and how its text is read."""

    names: tuple[str, ...]
    """Possible column names, the first one found counts; none when only `default` is used."""
    default: str | None = None
    """Text to use where the column is missing or empty."""
    formats: tuple[str, ...] = ()
    """strptime formats of a time, tried in order before ISO 8601."""
    unit: str | None = None
    """s, ms, us or ns since 1970, for times that are numbers."""
    is_required: bool = True
    """Whether a file without the column is refused."""


@dataclass(frozen=True)
class Limits:
    """What is too much."""

    field_bytes: int = 1 << 20
    """Longest field, or longest JSON event."""
    future_days: float = 1.0
    """How far after now an event may lie; a clock may be a little ahead."""


@dataclass(frozen=True)
class Mapping:
    """How the rows of one source are read."""

    name: str
    kind: SourceKind
    source: str
    """Name of the source in the identity of its events."""
    columns: MappingOf[Role, Column] = field(default_factory=dict)
    text: str = ""
    """The mapping file this was read from."""
    currency: str | None = None
    """Currency of the money; None means the workspace's, another one is refused."""
    time_zone: str | None = None
    """Zone of times that name none; None means the workspace's."""
    encoding: str = "utf-8"
    delimiter: str | None = None
    """Delimiter of CSV; None to find it in the header."""
    decimal: str = "."
    thousands: str = ""
    null_values: tuple[str, ...] = DEFAULT_NULL_VALUES
    """Texts that mean nothing."""
    accepts_negative_price: bool = False
    refund_prefix: str = ""
    """Start of the order ids that are refunds."""
    order_properties: tuple[str, ...] = ()
    """Further columns that are equal for all lines of an order."""
    events: MappingOf[str, str] = field(default_factory=dict)
    """Names of the source to the names of Segment's e-commerce spec."""
    limits: Limits = Limits()
