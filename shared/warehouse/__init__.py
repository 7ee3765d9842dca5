"""The warehouse: a port, the embedded engine and a ClickHouse server behind it, and the schema."""

from shared.warehouse.awaited import AwaitedWarehouse, await_server
from shared.warehouse.embedded import EmbeddedWarehouse, open_embedded
from shared.warehouse.lock import Holder, read_holder
from shared.warehouse.migrations import migrate, require_migrated
from shared.warehouse.port import Warehouse, WarehouseQueryError
from shared.warehouse.server import ServerWarehouse, connect

__all__ = [
    "AwaitedWarehouse",
    "EmbeddedWarehouse",
    "Holder",
    "ServerWarehouse",
    "Warehouse",
    "WarehouseQueryError",
    "await_server",
    "connect",
    "migrate",
    "open_embedded",
    "read_holder",
    "require_migrated",
]
