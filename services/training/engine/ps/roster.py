"""Which server stands for which owner, first and second, and what follows when one is lost."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.training.engine.ps.transport import Connection

Server = Connection


class PartLostError(Exception):
    """An owner's first server is lost and there is no second one that has its ranges."""


@dataclass
class Roster:
    """Servers and the owners they stand for; says what is to be done and does nothing itself.

    Args:
        owners: Their numbers.
        has_seconds: Whether every owner is to have a second server.
    """

    owners: Sequence[int]
    has_seconds: bool
    servers: list[Server] = field(default_factory=list)
    firsts: dict[int, Server] = field(default_factory=dict)
    seconds: dict[int, Server] = field(default_factory=dict)
    preparing: dict[int, Server] = field(default_factory=dict)
    """Second servers that do not have all ranges yet."""
    taking: set[int] = field(default_factory=set)
    """Owners whose second server is becoming the first."""

    def assign(self) -> None:
        """Divide the owners among the servers there are."""
        self.release()
        count = len(self.servers)
        self.firsts = {owner: self.servers[owner % count] for owner in self.owners}

    def release(self) -> None:
        """Nobody stands for anything."""
        self.firsts, self.seconds, self.preparing, self.taking = {}, {}, {}, set()

    def new_seconds(self) -> dict[int, Server]:
        """Second servers to prepare now, by owner."""
        chosen: dict[int, Server] = {}
        if not self.has_seconds or self.taking:
            return chosen
        for owner, first in self.firsts.items():
            others = [server for server in self.servers if server != first]
            if others and owner not in self.seconds and owner not in self.preparing:
                chosen[owner] = self.preparing[owner] = min(others, key=self._seconds_of)
        return chosen

    def prepared(self, owner: int, server: Server) -> None:
        """That second server has all ranges of the owner."""
        if self.preparing.get(owner) == server:
            self.seconds[owner] = self.preparing.pop(owner)

    def taken(self, owner: int) -> None:
        """The second server is the first now."""
        self.taking.discard(owner)

    def followed_by(self, server: Server) -> list[int]:
        """Owners whose second server that one is, complete or not."""
        waiting = [*self.seconds.items(), *self.preparing.items()]
        return [owner for owner, second in waiting if second == server]

    def lose(self, server: Server) -> list[int]:
        """A server is gone: the owners whose second server is to take over.

        Raises:
            PartLostError: One of its owners has no second server.
        """
        if server in self.servers:
            self.servers.remove(server)
        for waiting in (self.seconds, self.preparing):
            for owner in [owner for owner, second in waiting.items() if second == server]:
                del waiting[owner]
        orphans = [owner for owner, first in self.firsts.items() if first == server]
        if any(owner not in self.seconds for owner in orphans):
            raise PartLostError
        for owner in orphans:
            self.firsts[owner] = self.seconds.pop(owner)
            # What a first server that is lost was preparing will never be complete.
            self.preparing.pop(owner, None)
            self.taking.add(owner)
        return orphans

    def part(self, owner: int) -> None:
        """The owner has no second server, complete or not."""
        self.seconds.pop(owner, None)
        self.preparing.pop(owner, None)

    def _seconds_of(self, server: Server) -> int:
        used = [*self.seconds.values(), *self.preparing.values()]
        return sum(second == server for second in used)
