"""One channel to several services, each at an address of its own."""

from collections.abc import Callable, Mapping
from typing import Any

import grpc

from shared.rpc._client import connect


def connect_each(addresses: Mapping[str, str]) -> grpc.Channel:
    """Return a channel that carries the calls of each service to where that service answers.

    Stubs take it as they take the channel of `connect`.

    Args:
        addresses: Full name of a service to host:port.
    """
    return _RoutedChannel({service: connect(address) for service, address in addresses.items()})


class _RoutedChannel(grpc.Channel):
    def __init__(self, channels: Mapping[str, grpc.Channel]) -> None:
        self._channels = channels

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._to(method).unary_unary(method, *args, **kwargs)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._to(method).unary_stream(method, *args, **kwargs)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._to(method).stream_unary(method, *args, **kwargs)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._to(method).stream_stream(method, *args, **kwargs)

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool = False
    ) -> None:
        raise NotImplementedError("several connections have no state in common")

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        raise NotImplementedError("several connections have no state in common")

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()

    def __enter__(self) -> "_RoutedChannel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _to(self, method: str) -> grpc.Channel:
        return self._channels[method.split("/")[1]]
