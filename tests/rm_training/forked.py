"""`python -m tests.rm_training.forked COUNT COMMAND…`: manage.py in several processes.

They know of each other by the variables that accelerate launch sets. torch and
transformers, ten seconds of work, are loaded once, before they part.
"""

import os
import socket
import sys

from django.core.management import execute_from_command_line

import rm_training.trainer  # noqa: F401  loaded for the children


def main(count: int, arguments: list[str]) -> None:
    """Runs the command so many times at once; ends badly where one of them does."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
    }
    children = [_child(rank, arguments) for rank in range(count)]
    sys.exit(max(os.waitpid(child, 0)[1] for child in children) != 0)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _child(rank: int, arguments: list[str]) -> int:
    child = os.fork()
    if child == 0:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        execute_from_command_line(["manage.py", *arguments])
        sys.exit(0)
    return child


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
