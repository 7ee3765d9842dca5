"""The registry keeps versions whole, checked and findable by name."""

import json
import threading
from pathlib import Path

import pytest

from shared.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from shared.registry import FORMAT_VERSION, ModelRegistry

FILES = {"predict.jaxexport": b"program", "weights.safetensors": b"weights"}
MANIFEST = {"features": ["recency_days"], "horizon_days": 90}


@pytest.fixture
def registry(tmp_path):
    return ModelRegistry(tmp_path)


def test_a_published_version_is_read_back_with_its_manifest_and_files(registry):
    version = registry.publish("churn", FILES, MANIFEST)
    assert (version.name, version.number) == ("models/churn/versions/1", 1)
    assert version.manifest["features"] == ["recency_days"]
    assert version.manifest["format_version"] == FORMAT_VERSION
    assert version.manifest["model"] == "churn"
    assert registry.get(version.name).read("weights.safetensors") == b"weights"


def test_equal_content_is_the_same_version(registry):
    first = registry.publish("churn", FILES, MANIFEST)
    assert registry.publish("churn", dict(reversed(FILES.items())), MANIFEST) == first
    assert registry.publish("churn", FILES, MANIFEST | {"horizon_days": 30}).number == 2
    assert registry.publish("churn", FILES | {"config.yaml": b""}, MANIFEST).number == 3
    assert registry.publish("churn", FILES, MANIFEST).number == 1


def test_equal_content_has_equal_bytes_in_another_folder(tmp_path):
    versions = [
        ModelRegistry(tmp_path / name).publish("churn", FILES, MANIFEST) for name in ("a", "b")
    ]
    first, second = ((Path(version.uri) / "manifest.json").read_bytes() for version in versions)
    assert first == second
    assert versions[0].digest == versions[1].digest


def test_a_bare_model_means_the_champion_else_the_latest(registry):
    registry.publish("churn", FILES, MANIFEST)
    registry.publish("churn", FILES, MANIFEST | {"horizon_days": 30})
    assert registry.get("models/churn").number == 2
    champion = registry.set_alias("models/churn/aliases/champion", "models/churn/versions/1")
    assert champion.aliases == ("champion",)
    assert registry.get("models/churn").number == 1
    assert registry.get("models/churn/aliases/champion") == champion
    assert registry.resolve("models/churn") == "models/churn/versions/1"
    assert [version.number for version in registry.list("models/churn")] == [2, 1]


def test_an_alias_moves_to_what_another_alias_names(registry):
    registry.publish("churn", FILES, MANIFEST)
    registry.set_alias("models/churn/aliases/candidate", "models/churn/versions/1")
    version = registry.set_alias("models/churn/aliases/champion", "models/churn/aliases/candidate")
    assert version.aliases == ("candidate", "champion")


@pytest.mark.parametrize(
    "name",
    ["models/none", "models/churn/versions/7", "models/churn/aliases/none"],
)
def test_an_unpublished_name_is_not_found_and_says_what_is(registry, name):
    registry.publish("churn", FILES, MANIFEST)
    with pytest.raises(NotFoundError, match="churn") as caught:
        registry.get(name)
    assert caught.value.reason == "MODEL_VERSION_NOT_FOUND"


@pytest.mark.parametrize(
    "name", ["churn", "models/", "models/../x", "models/A", "models/m/versions/0"]
)
def test_a_malformed_name_is_refused(registry, name):
    with pytest.raises(InvalidArgumentError) as caught:
        registry.get(name)
    assert caught.value.reason == "MODEL_NAME_MALFORMED"


@pytest.mark.parametrize("file", ["../x", "a/b", "manifest.json", ".hidden", ""])
def test_a_file_name_that_leaves_the_folder_is_refused(registry, file):
    with pytest.raises(InvalidArgumentError) as caught:
        registry.publish("churn", {file: b""}, MANIFEST)
    assert caught.value.reason == "MODEL_FILE_NAME_MALFORMED"


@pytest.mark.parametrize("damage", [b"weightz", None])
def test_a_damaged_file_is_named_on_read(registry, damage):
    version = registry.publish("churn", FILES, MANIFEST)
    path = Path(version.uri) / "weights.safetensors"
    path.write_bytes(damage) if damage else path.unlink()
    assert version.read("predict.jaxexport") == b"program"
    with pytest.raises(FailedPreconditionError, match=r"weights\.safetensors") as caught:
        version.read("weights.safetensors")
    assert caught.value.reason == "MODEL_FILE_CORRUPT"


def test_damage_to_a_version_does_not_stop_its_content_from_being_published_again(registry):
    version = registry.publish("churn", FILES, MANIFEST)
    (Path(version.uri) / "weights.safetensors").write_bytes(b"weightz")
    again = registry.publish("churn", FILES, MANIFEST)
    assert again.number == 2
    assert again.read("weights.safetensors") == b"weights"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format_version": 1}'])
def test_a_damaged_manifest_is_named(registry, content):
    version = registry.publish("churn", FILES, MANIFEST)
    (Path(version.uri) / "manifest.json").write_bytes(content)
    with pytest.raises(FailedPreconditionError, match=r"manifest\.json") as caught:
        registry.get(version.name)
    assert caught.value.reason == "MODEL_FILE_CORRUPT"


def test_an_edited_manifest_is_detected(registry):
    version = registry.publish("churn", FILES, MANIFEST)
    path = Path(version.uri) / "manifest.json"
    path.write_text(path.read_text().replace("90", "91"))
    with pytest.raises(FailedPreconditionError, match="digest differs"):
        registry.get(version.name)


def test_a_newer_format_is_refused_with_what_to_do(registry):
    version = registry.publish("churn", FILES, MANIFEST)
    path = Path(version.uri) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    with pytest.raises(FailedPreconditionError, match="Update Oriel") as caught:
        registry.get(version.name)
    assert caught.value.reason == "MODEL_FORMAT_UNSUPPORTED"


def test_damaged_aliases_are_named(registry, tmp_path):
    registry.publish("churn", FILES, MANIFEST)
    (tmp_path / "models" / "churn" / "aliases.json").write_bytes(b"{")
    with pytest.raises(FailedPreconditionError, match=r"aliases\.json"):
        registry.get("models/churn")


def test_an_alias_of_another_model_or_a_missing_version_is_refused(registry):
    registry.publish("churn", FILES, MANIFEST)
    with pytest.raises(InvalidArgumentError):
        registry.set_alias("models/other/aliases/champion", "models/churn/versions/1")
    with pytest.raises(InvalidArgumentError):
        registry.set_alias("models/churn/versions/1", "models/churn/versions/1")
    with pytest.raises(NotFoundError):
        registry.set_alias("models/churn/aliases/champion", "models/churn/versions/2")


def test_a_manifest_that_is_not_json_is_refused_before_anything_is_written(registry, tmp_path):
    for value in (float("nan"), b"bytes"):
        with pytest.raises(InvalidArgumentError):
            registry.publish("churn", FILES, MANIFEST | {"metrics": value})
    assert not (tmp_path / "models").exists()


def test_a_crashed_publish_leaves_no_version_and_does_not_stop_the_next(registry, tmp_path):
    leftover = tmp_path / "models" / "churn" / "versions" / ".1.tmp"
    leftover.mkdir(parents=True)
    (leftover / "half").write_bytes(b"x")
    assert registry.models() == ()
    version = registry.publish("churn", FILES, MANIFEST)
    assert sorted(path.name for path in Path(version.uri).iterdir()) == sorted(
        [*FILES, "manifest.json"]
    )


def test_concurrent_publishers_get_one_version_for_each_content(tmp_path):
    published: list[int] = []

    def publish(index: int) -> None:
        manifest = MANIFEST | {"seed": index % 4}
        published.append(ModelRegistry(tmp_path).publish("churn", FILES, manifest).number)

    threads = [threading.Thread(target=publish, args=(index,)) for index in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(published) == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert len(ModelRegistry(tmp_path).list("churn")) == 4


def test_a_bucket_is_refused_by_name():
    with pytest.raises(InvalidArgumentError) as caught:
        ModelRegistry("s3://bucket/registry")
    assert caught.value.reason == "REGISTRY_ROOT_NOT_LOCAL"
