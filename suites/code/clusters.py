"""What tells several processes of one machine that they train together."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack

PROCESSES = 2


def cluster() -> list[dict[str, str]]:
    """For each process the variables that tell torch.distributed, tf.distribute and Keras of the others."""
    host = "127.0.0.1"
    places = [f"{host}:{port}" for port in free_ports(PROCESSES)]
    common = {"WORLD_SIZE": str(PROCESSES), "MASTER_ADDR": host, "MASTER_PORT": places[0].partition(":")[2]}
    common |= {"KERAS_DISTRIBUTION_JOB_ADDRESSES": ",".join(places)}
    common |= {"KERAS_DISTRIBUTION_NUM_PROCESSES": str(PROCESSES)}
    task = {"cluster": {"worker": places}}
    return [
        {
            **common,
            "RANK": str(rank),
            "KERAS_DISTRIBUTION_PROCESS_ID": str(rank),
            "TF_CONFIG": json.dumps({**task, "task": {"type": "worker", "index": rank}}),
        }
        for rank in range(PROCESSES)
    ]


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(open_socket.getsockname()[1]) for open_socket in sockets]
