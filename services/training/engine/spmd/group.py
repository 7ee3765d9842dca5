"""How processes on one or many hosts become one group, through JAX's own multi-host runtime."""

import jax

from shared.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError


def join_group(
    coordinator: str, process_count: int, process_number: int, *, timeout_seconds: int = 120
) -> None:
    """Meet the other processes; afterwards `jax.devices()` are those of all of them.

    Call it before the process computes anything with JAX. When one process dies, the others end
    too: start the whole group again, with as many processes as there are, and it goes on from its
    last checkpoint.

    Args:
        coordinator: "host:port" of process 0, the same for all; process 0 listens there.
        process_count: Processes in the group.
        process_number: This process's number, from 0.
        timeout_seconds: How long to wait for the others.

    Raises:
        InvalidArgumentError: An argument cannot be right.
        FailedPreconditionError: JAX has already started, or this process is in a group.
        UnavailableError: The others did not come in time.
    """
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidArgumentError(
            f"coordinator {coordinator!r} is no address; give host:port of process 0, "
            "for example 10.0.0.1:7801",
            reason="COORDINATOR_INVALID",
            coordinator=coordinator,
        )
    if not 0 <= process_number < process_count:
        raise InvalidArgumentError(
            f"process_number {process_number} is outside a group of process_count {process_count}; "
            f"number the processes from 0 to {max(process_count - 1, 0)}",
            reason="PROCESS_NUMBER_INVALID",
            process_number=process_number,
            process_count=process_count,
        )
    if jax.distributed.is_initialized():
        raise FailedPreconditionError(
            "this process is already in a group; join once, at its start",
            reason="GROUP_ALREADY_JOINED",
        )
    try:
        jax.distributed.initialize(
            coordinator,
            process_count,
            process_number,
            initialization_timeout=timeout_seconds,
            cluster_detection_method="deactivate",
        )
    except RuntimeError as error:
        if "must be called before" in str(error):
            raise FailedPreconditionError(
                "JAX has already computed in this process; join the group first of all",
                reason="GROUP_JOINED_TOO_LATE",
            ) from error
        raise UnavailableError(
            f"process {process_number} found no group of {process_count} at {coordinator} within "
            f"{timeout_seconds} s; start all processes with the same coordinator and "
            "process_count, and let the others reach the port of process 0",
            reason="GROUP_NOT_MET",
            coordinator=coordinator,
            process_count=process_count,
            process_number=process_number,
        ) from error
