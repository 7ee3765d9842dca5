"""What the algebra of features can say and no shipped feature does."""

from shared.features import Aggregate, Events, Feature, Function, Property, Window

UNSHIPPED = tuple(
    Feature(f"extra_{number}", "extra", expression, "", "", "")
    for number, expression in enumerate(
        (
            Aggregate(Function.MIN, Events.ORDERS, Property.GROSS, Window(60, 10)),
            Aggregate(Function.MAX, Events.ORDERS, Property.ITEMS),
            Aggregate(Function.LAST, Events.VIEWS, Property.TIME, Window(60)),
            Aggregate(Function.COUNT, Events.VIEWS, window=Window(40, 4)),
            Aggregate(Function.FIRST, Events.ORDERS, Property.TIME, Window(45, 5)),
            Aggregate(Function.MEAN, Events.REVENUE, Property.NET, Window(90)),
            Aggregate(Function.DISTINCT, Events.CARTS, Property.DAY, Window(365)),
            Aggregate(Function.COUNT, Events.ANY, window=Window(30)),
            Aggregate(Function.COUNT, Events.ANY),
        )
    )
)
