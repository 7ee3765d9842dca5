"""The warehouse: a port, the embedded engine and a ClickHouse server behind it, and the schema."""

from shared.warehouse.embedded import EmbeddedWarehouse, open_embedded
from shared.warehouse.lock import Holder, read_holder
from shared.warehouse.migrations import migrate
from shared.warehouse.port import Warehouse, WarehouseQueryError
from shared.warehouse.server import ServerWarehouse, connect

__all__ = [
    "EmbeddedWarehouse",
    "Holder",
    "ServerWarehouse",
    "Warehouse",
    "WarehouseQueryError",
    "connect",
    "migrate",
    "open_embedded",
    "read_holder",
]
