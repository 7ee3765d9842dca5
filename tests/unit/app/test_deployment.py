"""Commands find services that run as processes by the environment, and nowhere else then."""

import pytest

from app import lock
from app.commands.place import Place
from app.deployment import service_addresses
from app.session import open_session
from oriel.feature.v1 import feature_pb2, feature_pb2_grpc
from shared.config.home import Home, WorkspaceSettings
from shared.config.variables import SERVICE_ADDRESSES
from shared.errors import FailedPreconditionError, InvalidArgumentError
from shared.rpc import Service, serve

FEATURE = "oriel.feature.v1.FeatureService"


class Features(feature_pb2_grpc.FeatureServiceServicer):
    def ListDatasets(self, request, context):
        return feature_pb2.ListDatasetsResponse(next_page_token="from elsewhere")


@pytest.fixture
def environ(monkeypatch):
    for variable in SERVICE_ADDRESSES.values():
        monkeypatch.delenv(variable.name, raising=False)
    return monkeypatch


@pytest.fixture
def deployed(environ):
    """Name all services; features are the ones that answer."""

    def register(server):
        feature_pb2_grpc.add_FeatureServiceServicer_to_server(Features(), server)

    with serve([Service(FEATURE, register, lambda _: None)], "127.0.0.1:0") as running:
        for name, variable in SERVICE_ADDRESSES.items():
            environ.setenv(variable.name, running.address if name == FEATURE else "127.0.0.1:1")
        yield running


def test_without_addresses_nothing_runs_elsewhere(environ):
    assert service_addresses() == {}
    assert Place(None).home.path.name == ".oriel"


def test_with_all_addresses_each_service_has_its_own(deployed):
    found = service_addresses()
    assert set(found) == set(SERVICE_ADDRESSES)
    assert found[FEATURE] == deployed.address


def test_an_address_that_is_lacking_is_named(environ):
    environ.setenv("ORIEL_FEATURE_ADDRESS", "127.0.0.1:50053")
    with pytest.raises(InvalidArgumentError) as caught:
        service_addresses()
    for name in ("INGESTION", "TRAINING", "INFERENCE"):
        assert f"ORIEL_{name}_ADDRESS is not set" in caught.value.message


def test_a_misspelt_address_is_named_with_the_right_one(deployed, environ):
    environ.setenv("ORIEL_TRAINING_ADRESS", "127.0.0.1:50054")
    with pytest.raises(InvalidArgumentError, match="did you mean 'ORIEL_TRAINING_ADDRESS'"):
        service_addresses()


@pytest.mark.usefixtures("deployed")
def test_the_folder_that_the_services_share_must_be_named(tmp_path):
    with pytest.raises(InvalidArgumentError, match="ORIEL_HOME") as caught:
        Place(None).home_or(tmp_path)
    assert caught.value.reason == "HOME_NOT_NAMED"
    assert Place(tmp_path).home.path == tmp_path


@pytest.mark.usefixtures("deployed")
def test_a_command_calls_the_services_and_holds_no_folder(tmp_path):
    home = Home(tmp_path)
    WorkspaceSettings(pseudonym_key=b"k" * 16).save(home.settings_file)
    with open_session(home, "test") as channel:
        assert lock.holder_of(home.lock_path) is None
        stub = feature_pb2_grpc.FeatureServiceStub(channel)
        answer = stub.ListDatasets(feature_pb2.ListDatasetsRequest())
        assert answer.next_page_token == "from elsewhere"
    assert not home.warehouse_path.exists()


@pytest.mark.usefixtures("deployed")
def test_a_folder_without_a_workspace_is_refused_all_the_same(tmp_path):
    with (
        pytest.raises(FailedPreconditionError, match="oriel init"),
        open_session(Home(tmp_path), "test"),
    ):
        pass
