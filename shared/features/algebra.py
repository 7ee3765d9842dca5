"""The closed algebra in which every feature is declared."""

from dataclasses import dataclass
from enum import StrEnum


class Function(StrEnum):
    """How matching events become one number."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    DISTINCT = "distinct"
    FIRST = "first"
    LAST = "last"
    MIN = "min"
    MAX = "max"
    GAPS = "gaps"


class Property(StrEnum):
    """What is read of a matching event."""

    TIME = "time"
    """Instant; `first` and `last` say how many days before as_of it was."""
    DAY = "day"
    """Day in the workspace's zone; `distinct` and `gaps` work on days."""
    GROSS = "gross"
    """Money of lines bought and not cancelled, in currency units."""
    NET = "net"
    """Money after refunds, in currency units."""
    REFUNDED = "refunded"
    """Gross less net, in currency units."""
    ITEMS = "items"
    """Number of items over the event's lines; what came back is not counted."""
    PRODUCT = "product"
    """Product ids over the event's lines."""


class Statistic(StrEnum):
    """What is said of the days between consecutive days with a matching event."""

    MEAN = "mean"
    STD = "std"
    LAST = "last"
    MAX = "max"


class Events(StrEnum):
    """Which events match."""

    ANY = "any"
    ORDERS = "orders"
    """First part of an order with something bought in it: one row for each order."""
    PURCHASES = "purchases"
    """Every part of an order with something bought in it: where spend is summed."""
    REFUNDS = "refunds"
    REVENUE = "revenue"
    """Orders, parts of orders and refunds: where net money is summed."""
    VIEWS = "views"
    CARTS = "carts"


ORDER_COMPLETED = "Order Completed"
ORDER_REFUNDED = "Order Refunded"

EVENT_NAMES: dict[Events, tuple[str, ...]] = {
    Events.ORDERS: (ORDER_COMPLETED,),
    Events.PURCHASES: (ORDER_COMPLETED,),
    Events.REFUNDS: (ORDER_REFUNDED,),
    Events.REVENUE: (ORDER_COMPLETED, ORDER_REFUNDED),
    Events.VIEWS: ("Product Viewed",),
    Events.CARTS: ("Product Added",),
}
"""Names in the e-commerce specification; `any` has none because it looks at no name."""

_PROPERTIES: dict[Function, tuple[Property | None, ...]] = {
    Function.COUNT: (None,),
    Function.SUM: (Property.GROSS, Property.NET, Property.REFUNDED, Property.ITEMS),
    Function.MEAN: (Property.GROSS, Property.NET, Property.ITEMS),
    Function.DISTINCT: (Property.DAY, Property.PRODUCT),
    Function.FIRST: (Property.TIME,),
    Function.LAST: (Property.TIME,),
    Function.MIN: (Property.GROSS,),
    Function.MAX: (Property.GROSS, Property.ITEMS),
    Function.GAPS: (Property.DAY,),
}


@dataclass(frozen=True)
class Window:
    """Days before as_of: from `start` days before (None: for ever) to `end` days before."""

    start: int | None = None
    end: int = 0

    def __post_init__(self) -> None:
        if self.end < 0 or (self.start is not None and self.start <= self.end):
            raise ValueError(f"{self} is empty or reaches past as_of")


EVER = Window()


@dataclass(frozen=True)
class Aggregate:
    """One number over the matching events of a window.

    Without a matching event `count`, `sum` and `distinct` are 0 and the others are missing; `gaps`
    are missing with fewer than two days, their `std` with fewer than three.
    """

    function: Function
    events: Events
    property: Property | None = None
    window: Window = EVER
    statistic: Statistic | None = None

    def __post_init__(self) -> None:
        allowed = _PROPERTIES[self.function]
        if self.property not in allowed:
            raise ValueError(f"{self.function} knows the properties {allowed}: {self}")
        if (self.function is Function.GAPS) != (self.statistic is not None):
            raise ValueError(f"gaps, and only gaps, need a statistic: {self}")
        if self.property is Property.PRODUCT and self.window != EVER:
            raise ValueError(f"distinct products are counted over the whole history: {self}")


@dataclass(frozen=True)
class Ratio:
    """One aggregate over another; missing when either is, or the bottom is 0."""

    top: Aggregate
    bottom: Aggregate


@dataclass(frozen=True)
class Balance:
    """(recent - earlier) / (recent + earlier), from -1 to 1; missing when the sum is 0."""

    recent: Aggregate
    earlier: Aggregate


_READ_OF_RECENT = (Property.TIME, Property.DAY, Property.GROSS, Property.ITEMS)


@dataclass(frozen=True)
class RecentOrder:
    """A property of one of the last orders; missing where there were fewer.

    Of `TIME` it says how many days before as_of the order was, of `DAY` how many days after the
    order before it, which is missing for the first order of all.

    Attributes:
        place: 1 is the last order, 2 the one before it.
    """

    property: Property
    place: int

    def __post_init__(self) -> None:
        if self.property not in _READ_OF_RECENT:
            raise ValueError(f"of an order {_READ_OF_RECENT} are read: {self}")
        if self.place < 1:
            raise ValueError(f"the last order has the place 1: {self}")


Expression = Aggregate | Ratio | Balance | RecentOrder


@dataclass(frozen=True)
class Feature:
    """One number about a user at an instant, under a name.

    Attributes:
        name: Stable snake_case name; its column in the matrix.
        label: What it is, for a marketer.
        unit: "orders", "days", "currency", "share" and so on.
        words: How a value is said; "{value}" stands for the number.
    """

    name: str
    group: str
    expression: Expression
    label: str
    unit: str
    words: str


def aggregates_of(expression: Expression) -> tuple[Aggregate, ...]:
    """Return the aggregates that an expression is made of."""
    match expression:
        case Aggregate():
            return (expression,)
        case Ratio(top, bottom):
            return (top, bottom)
        case Balance(recent, earlier):
            return (recent, earlier)
        case RecentOrder():
            return ()
