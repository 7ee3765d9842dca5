"""How processes on one or many hosts become one group, through JAX's own multi-host runtime."""

import socket
import time

import jax

from shared.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError


def join_group(
    coordinator: str,
    process_count: int,
    process_number: int,
    *,
    timeout_seconds: int = 120,
    lost_after_seconds: int = 30,
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
        lost_after_seconds: A process that is not heard of for so long is taken for dead.

    Raises:
        InvalidArgumentError: An argument cannot be right.
        FailedPreconditionError: JAX has already started, this process is in a group, or process 0
            cannot listen at its port.
        UnavailableError: Process 0 cannot be reached. Where it can but some other process does
            not come in time, JAX ends this process.
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
    if process_number:
        _require_listening(coordinator, host.strip("[]"), int(port), timeout_seconds)
    else:
        _require_free(int(port))
    try:
        jax.distributed.initialize(
            coordinator,
            process_count,
            process_number,
            initialization_timeout=timeout_seconds,
            heartbeat_timeout_seconds=lost_after_seconds,
            cluster_detection_method="deactivate",
        )
    except RuntimeError as error:
        raise FailedPreconditionError(
            "JAX has already computed in this process; join the group first of all",
            reason="GROUP_JOINED_TOO_LATE",
        ) from error


# JAX ends a process that finds no group without an error to catch, so look before.
def _require_listening(coordinator: str, host: str, port: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), timeout=max(seconds, 1)).close()
        except OSError as error:
            if time.monotonic() >= deadline:
                raise UnavailableError(
                    f"no process 0 listens at {coordinator} after {seconds} s; start all processes "
                    "with the same coordinator, and let the others reach the port of process 0",
                    reason="COORDINATOR_NOT_FOUND",
                    coordinator=coordinator,
                ) from error
            time.sleep(0.1)
        else:
            return


def _require_free(port: int) -> None:
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise FailedPreconditionError(
            f"port {port} is taken, so process 0 cannot listen there; "
            "give the group a coordinator with a free port",
            reason="COORDINATOR_PORT_TAKEN",
            port=port,
        ) from error
