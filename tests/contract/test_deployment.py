"""The files for containers agree with the code; no container is built or started here."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from shared.config.environment import read
from shared.config.variables import HOME, LISTEN, VARIABLES

INFRA = Path(__file__).resolve().parents[2] / "infra"
SERVICES = ("ingestion", "feature", "training", "inference")


@pytest.fixture(scope="module")
def compose():
    """The file as `docker compose` would see it, with a password in its place."""
    text = (INFRA / "compose.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"\$\{CLICKHOUSE_PASSWORD:\?[^}]*\}", "secret1", text))


@pytest.fixture(scope="module")
def image():
    """The steps of the Dockerfile, one a line."""
    text = (INFRA / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_told_all_that_it_needs(compose, name):
    role = import_module(f"services.{name}.__main__").ROLE
    environ = compose["services"][name]["environment"]
    settings = read(environ, VARIABLES, (HOME, LISTEN, role.address, *role.needed))
    assert settings[role.address] == f"{name}:{settings[LISTEN].rpartition(':')[2]}"
    assert compose["services"][name]["command"] == ["python", "-m", f"services.{name}"]


@pytest.mark.parametrize("name", SERVICES)
def test_health_is_asked_where_the_service_listens(compose, name):
    service = compose["services"][name]
    *command, address = service["healthcheck"]["test"]
    assert command == ["CMD", "python", "-m", "shared.rpc"]
    assert find_spec("shared.rpc.__main__")
    assert address == f"127.0.0.1:{service['environment']['ORIEL_LISTEN'].rpartition(':')[2]}"


def test_the_command_finds_every_service(compose):
    assert read(compose["services"]["oriel"]["environment"], VARIABLES, (HOME,))[HOME]
    for name in SERVICES:
        variable = f"ORIEL_{name.upper()}_ADDRESS"
        address = compose["services"]["oriel"]["environment"][variable]
        assert address == compose["services"][name]["environment"][variable]


def test_every_port_is_published_on_loopback_only(compose):
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_every_volume_is_declared_and_all_services_share_one_folder(compose):
    used = {
        volume.split(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
    }
    assert used == set(compose["volumes"])
    home = compose["services"]["oriel"]["environment"]["ORIEL_HOME"]
    assert all(compose["services"][name]["volumes"] == [f"home:{home}"] for name in SERVICES)


def test_every_image_is_pinned_to_a_whole_version(compose, image):
    base = next(rest for word, rest in image if word == "FROM")
    for name in (base, *(service["image"] for service in compose["services"].values())):
        assert re.search(r":\d+\.\d+\.\d+", name), name


def test_the_image_runs_without_root_and_what_it_copies_is_there(image):
    users = [rest for word, rest in image if word == "USER"]
    assert users[-1] == "oriel"
    for word, rest in image:
        if word == "COPY":
            for source in rest.split()[:-1]:
                assert (INFRA.parent / source).exists()
