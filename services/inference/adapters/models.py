"""Loaded versions, kept in memory by name."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from services.inference.usecases.ports import Model
from shared.errors import DomainError
from shared.registry import ModelRegistry, ModelVersion

_LOG = logging.getLogger(__name__)


class LoadedModels:
    """Loads a version when it is first asked for and keeps the ones used last.

    Args:
        registry: Where versions are published.
        runner: Turns a version into something that runs.
        capacity: Versions kept.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        runner: Callable[[ModelVersion], Model],
        capacity: int = 4,
    ) -> None:
        self._registry, self._runner, self._capacity = registry, runner, capacity
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}

    def load(self, name: str) -> Model:
        """Return the version that a name points at now; only its first caller waits for loading."""
        version_name = self._registry.resolve(name)
        model = self._find(version_name)
        if model is not None:
            return model
        with self._lock:
            loading = self._loading.setdefault(version_name, threading.Lock())
        with loading:
            model = self._find(version_name)
            if model is None:
                model = self._runner(self._registry.get(version_name))
                self._keep(version_name, model)
        return model

    def load_champions(self) -> None:
        """Load what each model name points at; a version that cannot be loaded is logged."""
        for model in self._registry.models():
            try:
                self.load(f"models/{model}")
            except DomainError as error:
                fields = {"model": model, "reason": error.reason, "error": error.message}
                _LOG.warning("model not loaded", extra=fields)

    def _find(self, version_name: str) -> Model | None:
        with self._lock:
            if version_name in self._loaded:
                self._loaded.move_to_end(version_name)
            return self._loaded.get(version_name)

    def _keep(self, version_name: str, model: Model) -> None:
        with self._lock:
            self._loaded[version_name] = model
            self._loading.pop(version_name, None)
            while len(self._loaded) > self._capacity:
                self._loaded.popitem(last=False)
