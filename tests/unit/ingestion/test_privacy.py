"""Who somebody is stays out of the warehouse."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from services.ingestion.domain.privacy import is_personal, redacted, scrubbed
from tests.unit.ingestion.ingestion_world import TABLES

SECRETS = ["ana.maria@example.com", "+44 7700 900123", "Ana Maria", "Baker Street", "10.1.2.3"]
EMAIL, PHONE, NAME, STREET, IP = SECRETS
PERSONAL = {
    "type": "identify",
    "messageId": EMAIL,
    "userId": EMAIL,
    "anonymousId": EMAIL,
    "timestamp": "2023-11-01T10:00:00Z",
    "traits": {
        "email": EMAIL,
        "name": NAME,
        "phone": PHONE,
        "address": {"street": STREET},
        "plan": "pro",
        "friends": [{"firstName": NAME, "score": 1}],
        "note": f"write to {EMAIL} today",
    },
    "context": {
        "ip": IP,
        "traits": {"email": EMAIL, "lastName": NAME},
        "page": {"url": f"https://shop/?email={EMAIL.replace('@', '%40')}", "name": "Home"},
    },
}
ORDER = {
    "type": "track",
    "event": "Order Completed",
    "userId": EMAIL,
    "timestamp": "2023-11-01T10:00:00Z",
    "properties": {
        "order_id": f"{EMAIL}-1",
        "revenue": 1,
        "shipping_address": STREET,
        "products": [{"product_id": "p", "name": "Green tea", "price": 1}],
    },
}
BROKEN = {"type": "track", "event": "X", "timestamp": EMAIL, "userId": EMAIL, "properties": {}}
CSV = (
    "message_id,user_id,event,timestamp,email,name,note\n"
    f"a1,{EMAIL},Signed Up,2023-11-01,{EMAIL},{NAME},call {EMAIL}\n"
    f"a2,{EMAIL},Signed Up,{EMAIL},{EMAIL},{NAME},\n"
)
LINES = (
    "invoice,stock_code,quantity,timestamp,unit_price,customer_id,phone,name\n"
    f"1,A,1,2023-01-01,2,{EMAIL},{PHONE},{NAME}\n"
)


def texts_of(column: pa.ChunkedArray) -> list[str]:
    if pa.types.is_list(column.type) or pa.types.is_map(column.type):
        return [json.dumps(value) for value in column.to_pylist()]
    return [str(value) for value in column.to_pylist()]


def test_no_identifier_is_anywhere_in_the_warehouse(world, warehouse_folder: Path):
    world.send(PERSONAL, ORDER, BROKEN)
    world.take(world.file("people.csv", CSV))
    world.take(world.file("orders.csv", LINES))
    for table in TABLES:
        rows = world.warehouse.query(f"SELECT * FROM {table}")
        for name in rows.column_names:
            for text in texts_of(rows.column(name)):
                for secret in (*SECRETS, EMAIL.replace("@", "%40")):
                    assert secret not in text, f"{secret} in {table}.{name}"
    for file in warehouse_folder.rglob("*"):
        if file.is_file():
            assert EMAIL.encode() not in file.read_bytes(), file


def test_the_vault_knows_whom_a_key_stands_for(world):
    world.send(PERSONAL)
    [row] = world.events()
    assert world.vault.source_ids([row["user_key"], 5]) == [EMAIL, ""]


def test_what_tells_nobody_stays(world):
    world.send(PERSONAL, ORDER)
    rows = {row["type"]: row for row in world.events()}
    assert json.loads(rows["identify"]["properties"]) == {
        "friends": [{"score": 1}],
        "note": "write to [email] today",
        "plan": "pro",
    }
    assert json.loads(rows["identify"]["context"])["page"]["name"] == "Home"
    assert json.loads(rows["track"]["properties"]) == {"products": [{"name": "Green tea"}]}


def test_a_message_id_with_an_address_in_it_still_tells_a_resend(world):
    world.send(PERSONAL)
    assert world.send(PERSONAL).duplicate_row_count == 1


@pytest.mark.parametrize("key", ["email", "E_mail", "billing_email", "phoneNumber", "Last Name"])
def test_personal_keys_are_known_however_they_are_written(key):
    assert is_personal(key)


@pytest.mark.parametrize("key", ["plan", "emails_sent", "phone_model", "named_by"])
def test_other_keys_are_not_personal(key):
    assert not is_personal(key)


def test_a_name_is_kept_only_where_it_is_a_thing_that_has_it():
    tree = {"name": "Ana", "app": {"name": "shop"}, "item": {"sku": "1", "name": "Tea"}}
    assert scrubbed(tree) == {"app": {"name": "shop"}, "item": {"sku": "1", "name": "Tea"}}


def test_nulls_pass_redaction():
    texts = pa.array([None, "a@b.example", "c"])
    assert redacted(texts).to_pylist() == [None, "[email]", "c"]
    assert pc.all(pc.is_null(redacted(pa.nulls(2, pa.string())))).as_py()
