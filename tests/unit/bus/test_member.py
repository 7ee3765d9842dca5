"""A member of a group: how much it holds, and what it does again."""

from dataclasses import dataclass

from shared.bus import Partition
from shared.bus.member import Member, SliceLimits
from shared.errors import UnavailableError

FIRST = Partition("shop.events", 0)
LONG_SECONDS = 1e9


@dataclass(frozen=True)
class Sent:
    offset: int
    value: bytes | None
    timestamp: int = 0
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Log:
    """A partition of one group's only member; a poll returns one record."""

    def __init__(self, values):
        self.records = [Sent(offset, value) for offset, value in enumerate(values)]
        self.next_offset, self.told, self.failing_holds = 0, {}, 0
        self.joins = 0

    def join(self, listener):
        self.joins += 1
        listener.assigned([FIRST])
        return self

    def poll(self, seconds, most):
        del seconds
        found = self.records[self.next_offset :][: min(most, 1)]
        self.next_offset += len(found)
        return {FIRST: found} if found else {}

    def seek(self, partition, offset):
        assert partition == FIRST
        self.next_offset = offset

    def hold(self, partitions):
        if partitions and self.failing_holds:
            self.failing_holds -= 1
            raise ValueError

    def commit(self, next_offsets):
        self.told |= next_offsets

    def close(self):
        pass


class Keeping:
    """Keeps slices, and stops its member once all is done."""

    def __init__(self, last):
        self.slices, self.done, self.last = [], 0, last
        self.member = None
        self.failures = 0

    def begin(self, partitions):
        return dict.fromkeys(partitions, self.done)

    def take(self, records):
        if self.failures:
            self.failures -= 1
            raise UnavailableError("away", reason="AWAY")
        [some] = records.values()
        self.slices.append([each.offset for each in some])
        self.done = some[-1].offset + 1
        if self.done > self.last:
            self.member.stop()
        return {FIRST: self.done}

    def end(self, partitions):
        pass

    def forget(self):
        pass

    def close(self):
        self.done = -1


def run(log, limits, *, failures=0):
    work = Keeping(len(log.records) - 1)
    work.failures = failures
    work.member = Member(log.join, work, limits)
    work.member.run()
    assert work.done == -1
    return work.slices


def test_a_slice_ends_with_its_rows_or_its_bytes_whichever_come_first():
    values = [b"x" * 60, b"x" * 60, b"x", None, b"x", b"x" * 200]
    log = Log(values)
    slices = run(log, SliceLimits(rows=3, value_bytes=100, seconds=LONG_SECONDS))
    assert slices == [[0, 1], [2, 3, 4], [5]]
    assert log.told == {FIRST: 6}


def test_what_failed_is_read_again():
    log = Log([b"x"] * 4)
    slices = run(log, SliceLimits(rows=2, seconds=LONG_SECONDS), failures=1)
    assert slices == [[0, 1], [2, 3]]


def test_a_client_that_fails_is_left_and_the_group_joined_again():
    log = Log([b"x"] * 2)
    log.failing_holds = 1
    slices = run(log, SliceLimits(rows=2, seconds=LONG_SECONDS), failures=1)
    assert slices == [[0, 1]]
    assert log.joins == 2
