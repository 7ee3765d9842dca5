"""gRPC as every service of ours serves and calls it.

`serve` adds to each service: health, reflection, limits, a log line and metrics for each call, and
errors that cross the wire whole. `connect` adds deadlines and turns those errors back, and
`connect_each` does so for services that answer at different addresses.
"""

from shared.rpc._client import connect
from shared.rpc._health import require_serving
from shared.rpc._routed import connect_each
from shared.rpc._server import RunningServer, Service, serve
from shared.rpc.errors import error_info, from_status

__all__ = [
    "RunningServer",
    "Service",
    "connect",
    "connect_each",
    "error_info",
    "from_status",
    "require_serving",
    "serve",
]
