"""ClickHouse's native protocol before chDB, so that a driver can speak to the modern engine.

A test's tool: loopback only, one user, no compression. Run it as
`python -m tests.support.native_front --folder DIR --password WORD`; it prints its port.
"""

import argparse
import re
import socket
import socketserver
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chdb.session import Session

from tests.support.native_front_wire import (
    Block,
    Column,
    Reader,
    read_from_client,
    read_from_engine,
    text,
    varint,
)

REVISION = 54459
"""Oldest protocol that carries query parameters."""
USER = "oriel"

_HELLO, _QUERY, _DATA, _CANCEL, _PING = 0, 1, 2, 3, 4
_TO_CLIENT_DATA, _EXCEPTION, _PONG, _END, _PROFILE_EVENTS = b"\1", b"\2", b"\4", b"\5", b"\16"
_AUTHENTICATION_FAILED = 516
_INSERT = re.compile(
    r"\s*INSERT\s+INTO\s+(?P<table>[\w.`]+)\s*(?P<columns>\([^)]*\))?\s*VALUES\s*", re.I
)
_READS = ("select", "with", "show", "describe", "exists", "explain")
_CODE = re.compile(r"Code: (\d+)")
_UNQUOTED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Query:
    """A statement as it came over the wire."""

    sql: str
    settings: dict[str, str]
    parameters: dict[str, str]


class Connection(socketserver.BaseRequestHandler):
    """One client: a session of its own, one statement at a time."""

    server: "Front"

    def handle(self) -> None:
        """Speak until the client goes away."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = Reader(self.request.recv)
        try:
            if not self._greet():
                return
            self._session: Any = Session(self.server.folder)
            self._session.query(f"USE `{self._database}`")
            while True:
                self._serve(self._reader.varint())
        except (EOFError, ConnectionError):
            pass
        except RuntimeError as error:
            self._refuse(error)

    def _greet(self) -> bool:
        reader = self._reader
        if reader.varint() != _HELLO:
            return False
        reader.text(), reader.varint(), reader.varint(), reader.varint()
        self._database = reader.text() or "default"
        user, password = reader.text(), reader.text()
        if (user, password) != (USER, self.server.password):
            self._send_exception(_AUTHENTICATION_FAILED, "Authentication failed")
            return False
        hello = varint(26) + varint(9) + varint(REVISION) + text("UTC") + text("front") + varint(2)
        self.request.sendall(varint(_HELLO) + text("ClickHouse") + hello)
        reader.text()  # quota key
        return True

    def _serve(self, packet: int) -> None:
        if packet == _PING:
            self.request.sendall(_PONG)
        elif packet == _QUERY:
            query = self._read_query()
            try:
                self._answer(query)
            except (RuntimeError, ValueError) as error:
                self._refuse(error)
        elif packet == _DATA:
            self._read_block()
        elif packet != _CANCEL:
            raise ConnectionError(f"packet {packet} is not spoken here")

    def _read_query(self) -> Query:
        reader = self._reader
        reader.text(), reader.byte(), reader.text(), reader.text(), reader.text()
        reader.uint64(), reader.byte(), reader.text(), reader.text(), reader.text()
        reader.varint(), reader.varint(), reader.varint(), reader.text()
        reader.varint(), reader.varint(), reader.byte()
        reader.varint(), reader.varint(), reader.varint()
        settings = dict(self._read_settings())
        reader.text(), reader.varint()  # secret between servers, stage
        if reader.varint():
            raise ConnectionError("compression is not spoken here")
        sql = reader.text()
        parameters = {name: _unquoted(value) for name, value in self._read_settings()}
        reader.varint()
        self._read_block()  # no external tables
        return Query(sql, settings, parameters)

    def _read_settings(self) -> Iterator[tuple[str, str]]:
        while name := self._reader.text():
            self._reader.varint()
            yield name, self._reader.text()

    def _read_block(self) -> Block:
        self._reader.text()
        return read_from_client(self._reader)

    def _answer(self, query: Query) -> None:
        for name, value in query.settings.items():
            self._session.query(f"SET {name} = '{value}'")
        if found := _INSERT.fullmatch(query.sql):
            self._insert(found["table"], found["columns"] or "")
        elif query.sql.lstrip().lower().startswith(_READS):
            self._read(query)
        else:
            self._session.query(query.sql, "Null", params=query.parameters)
        self.request.sendall(_END)

    def _read(self, query: Query) -> None:
        is_streamed = query.sql.lstrip().lower().startswith(("select", "with"))
        sql, parameters = query.sql.rstrip().rstrip(";"), query.parameters
        if is_streamed:
            chunks = self._session.send_query(sql, "Native", params=parameters)
        else:
            chunks = [self._session.query(sql, "Native", params=parameters)]
        is_empty = True
        for chunk in chunks:
            for block in _blocks(chunk.bytes()):
                self._send_block(Block([Column(each.name, each.type) for each in block.columns]))
                self._send_block(block)
                is_empty = False
        if is_empty and is_streamed:  # the engine writes no header where there are no rows
            self._send_block(Block(self._described(f"({sql}\n)", parameters)))

    def _insert(self, table: str, names: str) -> None:
        columns = self._described(f"TABLE {table}", {})
        if names:
            wanted = [name.strip().strip("`") for name in names[1:-1].split(",")]
            by_name = {column.name: column for column in columns}
            columns = [by_name[name] for name in wanted]
        self._send_block(Block(columns))
        blocks = []
        while (packet := self._reader.varint()) == _DATA:
            block = self._read_block()
            self._send_block(Block(), packet=_PROFILE_EVENTS)
            if not block.columns:
                break
            blocks.append(block.for_engine())
        if packet != _DATA:
            return
        inserter = self._session.send_insert(f"INSERT INTO {table} {names}", "Native")
        for raw in blocks:
            inserter.append(raw)
        inserter.finish()

    def _described(self, what: str, parameters: dict[str, str]) -> list[Column]:
        sql = f"DESCRIBE {what} SETTINGS print_pretty_type_names = 0"
        rows = self._session.query(sql, "TSVRaw", params=parameters).bytes().decode()
        return [Column(*row.split("\t")[:2]) for row in rows.splitlines() if row]

    def _send_block(self, block: Block, packet: bytes = _TO_CLIENT_DATA) -> None:
        self.request.sendall(packet + text("") + block.for_client())

    def _refuse(self, error: Exception) -> None:
        message = str(error)
        found = _CODE.search(message)
        self._send_exception(int(found[1]) if found else 1000, message)

    def _send_exception(self, code: int, message: str) -> None:
        parts = struct.pack("<i", code) + text("DB::Exception") + text(message) + text("") + b"\0"
        self.request.sendall(_EXCEPTION + parts)


class Front(socketserver.ThreadingTCPServer):
    """Listens on loopback.

    Args:
        folder: Data folder of the engine.
        password: Password of the one user.
        port: Where to listen; 0 takes a free port.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: str, password: str, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Connection)
        self.folder = folder
        self.password = password
        self._engine = Session(folder)  # type: ignore[no-untyped-call]  # keeps the engine alive


def _blocks(raw: bytes) -> Iterator[Block]:
    chunks = iter([raw])
    reader = Reader(lambda _: next(chunks, b""))
    while not reader.is_at_end():
        yield read_from_engine(reader)


def _unquoted(value: str) -> str:
    return _UNQUOTED.sub(r"\1", value[1:-1])


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    front = Front(str(arguments.folder), arguments.password, arguments.port)
    sys.stdout.write(f"{front.server_address[1]}\n")
    sys.stdout.flush()
    front.serve_forever()


if __name__ == "__main__":
    main()
