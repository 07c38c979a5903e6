"""The coordinator's executor: it starts the ServerApp of each run as a process that outlives it.

Flower's own executor, `flower-superexec`, names itself to each ServerApp as the parent (`--parent-pid`) whose end is
the ServerApp's, too. So a run ended with its executor, and all that Flower said was "Task failed with unknown error".
A ServerApp needs nothing of its executor: it speaks with the SuperLink itself. Here it ends with the supervisor of a
federation on one machine, and on a host of the coordinator's own it goes on.

It holds the lock of a file from its first moment (`server.locks.serverapp_lock`), by which its death is seen at once.
Flower's SuperLink takes a minute, after which it has heard nothing of the ServerApp.

The interface to the SuperLink is internal to Flower, and may change with any minor version, as in `clients/tasks.py`.
"""

import argparse
import logging
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import httpx
from flwr.proto.runtime_pb2 import AcquireTaskRequest, AcquireTaskResponse
from flwr.supercore.constant import TaskType
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient

from server.locks import hold, serverapp_lock

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
"""Between two looks for a run that is to be started."""


def main() -> None:
    """Start the ServerApps of a SuperLink's runs until the process is ended."""
    parser = argparse.ArgumentParser("python -m server.executor", description=main.__doc__)
    parser.add_argument("--superlink", required=True, help="HOST:PORT of the SuperLink.")
    parser.add_argument(
        "--root-certificates", type=Path, required=True, help="PEM file that signs the SuperLink's."
    )
    parser.add_argument(
        "--secret", type=Path, required=True, help="File with the secret that it shares with it."
    )
    parser.add_argument("--locks", type=Path, required=True, help="Folder for a lock per run.")
    parser.add_argument("--parent-pid", type=int, help="Process with which ServerApps end. Default: none.")
    given = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    client = RuntimeHttpClient.from_server_address(
        given.superlink,
        insecure=False,
        root_certificates=given.root_certificates.read_bytes(),
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperExec"),
            SuperExecAuthHttpInterceptor(
                master_secret=given.secret.read_bytes(),
                protected_methods=frozenset({"/flwr.proto.Runtime/AcquireTask"}),
            ),
        ],
    )
    request = AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP])
    serverapp = ["flwr-serverapp", "--runtime-api-address", given.superlink]
    serverapp += ["--root-certificates", str(given.root_certificates)]
    if given.parent_pid:
        serverapp += ["--parent-pid", str(given.parent_pid)]
    execute(lambda: client.AcquireTask(request), serverapp, given.locks)


def execute(acquire: Callable[[], AcquireTaskResponse], serverapp: Sequence[str], locks: Path) -> NoReturn:
    """Start the command line of a ServerApp for every task that there is, for ever.

    acquire gives a task, or one without a token if there is none. While the SuperLink is away this waits; whatever else
    is wrong ends it.
    """
    running = list["subprocess.Popen[bytes]"]()
    while True:
        try:
            given = acquire()
        except httpx.TransportError as error:
            log.info("The SuperLink does not answer: %s", error)
        else:
            if given.token:
                lock = serverapp_lock(locks, given.task.run_id)
                running.append(start([*serverapp, "--token", given.token], lock))
        running = [process for process in running if process.poll() is None]
        time.sleep(_LOOK_SECONDS)


def start(command: Sequence[str], lock: Path) -> "subprocess.Popen[bytes]":
    """Start a process that holds a lock while it lives, and whose output is not kept: a ServerApp sends it itself."""
    descriptor = hold(lock)
    try:
        silent = subprocess.DEVNULL
        return subprocess.Popen(command, stdout=silent, stderr=silent, pass_fds=[descriptor])
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
