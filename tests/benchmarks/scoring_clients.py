"""`python -m tests.benchmarks.scoring_clients PORT`: many clients in one lean process.

Reads a JSON list of bodies from standard input for each client, as a list of lists, and
prints {"seconds": wall time of all, "latencies": […]}. Requests are bytes before the
clock starts, and an answer is not looked into: what is measured is the server.
"""

import asyncio
import json
import sys
import time
from typing import Any


async def client(port: int, requests: list[bytes], latencies: list[float]) -> None:
    """One connection; the next request follows the answer to the one before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        started = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        latencies.append(time.perf_counter() - started)
    writer.close()


async def all_clients(port: int, bodies: list[list[Any]]) -> dict[str, Any]:
    """All at once, until the last one has its last answer."""
    requests = [[_request(body) for body in of_client] for of_client in bodies]
    latencies: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(client(port, one, latencies) for one in requests))
    return {"seconds": time.perf_counter() - started, "latencies": latencies}


def _request(body: Any) -> bytes:
    content = json.dumps(body).encode()
    head = (
        "POST /score HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


if __name__ == "__main__":
    answer = asyncio.run(all_clients(int(sys.argv[1]), json.load(sys.stdin)))
    json.dump(answer, sys.stdout)
