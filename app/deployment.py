"""Services that run as processes of their own, named by the environment."""

import os
from collections.abc import Mapping

from shared.config.environment import read
from shared.config.variables import SERVICE_ADDRESSES, VARIABLES


def service_addresses() -> Mapping[str, str]:
    """Return where each service answers, by its full name; empty where the command starts them.

    Raises:
        InvalidArgumentError: The environment names some of the services, or has a mistake.
    """
    variables = SERVICE_ADDRESSES.values()
    if not any(os.environ.get(variable.name) for variable in variables):
        return {}
    environment = read(os.environ, VARIABLES, tuple(variables))
    return {service: environment[variable] for service, variable in SERVICE_ADDRESSES.items()}
