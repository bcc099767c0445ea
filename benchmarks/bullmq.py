"""What `GET /queues` costs over a million jobs of BullMQ: `python benchmarks/bullmq.py [--jobs N]`.

50 queues on one Redis, filled in the layout of BullMQ 6. Our server, bull-board and Flower stand
beside each other on it and are asked in turns for all their queues, each over one connection that
is kept. Flower knows Celery only, so the same number of Celery's messages lies there for it, and
it tells no more of them than their number. bull-board comes from npm and Flower from PyPI, both
by lock files, when they are needed. The target is less than 5 ms, and less than either.
"""

import http.client
import os
import shutil
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from redis import Redis
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import servers
from acceptance.server_process import PREFIX, ServerProcess
from workers.bullmq_modules import node_modules

ROOT = Path(__file__).parent.parent
SUPPORT = Path(__file__).parent / "support"
NAMES = [f"mail-{number:02}" for number in range(50)]
ROUNDS, WARM = 200, 20
BATCH = 2000
READY_S = 30.0
TARGET_MS = 5.0
SETTINGS = """
[rate_limit]
default = "100000000/minute"
[[queues.sources]]
name = "mail"
kind = "bullmq"
url = "{url}"
"""

# Of a hundred jobs 93 are completed, 4 wait, 2 have failed and one runs.
FILL = """
local p, first, last, now = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
for id = first, last do
  local kind, at = id % 100, now - (last - id) * 1000
  redis.call('HSET', p .. id, 'name', 'send', 'opts', '{"attempts":3}', 'timestamp', at, 'delay', 0,
    'data', '{"to":"someone@example.com","template":"welcome","campaign":4711}', 'priority', 0)
  if kind < 4 then redis.call('LPUSH', p .. 'wait', id)
  elseif kind < 5 then redis.call('LPUSH', p .. 'active', id)
  else
    redis.call('HSET', p .. id, 'processedOn', at, 'finishedOn', at, 'atm', 1, 'ats', 1)
    redis.call('ZADD', p .. (kind < 7 and 'failed' or 'completed'), at, id)
  end
end
redis.call('HSET', p .. 'meta', 'version', 'bullmq:6.7.0', 'opts.maxLenEvents', 10000)
redis.call('SET', p .. 'id', last)
"""
Ask = Callable[[], bytes]


def fill(url: str, jobs: int) -> None:
    """So many jobs of BullMQ and messages of Celery."""
    each = jobs // len(NAMES)
    with Redis.from_url(url) as redis:
        now = int(time.time() * 1000)
        for name in NAMES:
            for first in range(1, each + 1, BATCH):
                last = min(first + BATCH - 1, each)
                redis.eval(FILL, 1, f"bull:{name}:", first, last, now - (each - last) * 1000)
                redis.rpush(name, *range(first, last + 1))


@contextmanager
def asked(port: int, path: str, token: str | None = None) -> Iterator[Ask]:
    """A question over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask() -> bytes:
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
        except http.client.RemoteDisconnected:  # it was idle while the others started
            connection.close()
            return ask()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} was answered with {answer.status}: {body[:200]!r}")
        return body

    yield ask
    connection.close()


@contextmanager
def quarterdeck(url: str, directory: Path) -> Iterator[Ask]:
    """Our server, with its samplers and everything else that runs beside the answers."""
    server = ServerProcess(directory, SETTINGS.format(url=url))
    server.start()
    try:
        token = server.token("viewer")
        with asked(server.port, f"{PREFIX}/queues?source=mail", token) as ask:
            yield ask
    finally:
        server.stop()


@contextmanager
def bull_board(url: str) -> Iterator[Ask]:
    """bull-board on Express."""
    scripts, port = SUPPORT / "bull_board", servers.free_port()
    node = [servers.program("node"), str(scripts / "server.cjs"), str(port), url, *NAMES]
    environment = {**os.environ, "NODE_PATH": str(node_modules(scripts)), "NODE_ENV": "production"}
    with servers.running(node, env=environment) as process:
        servers.wait_for_port(port, process)
        with asked(port, "/api/queues") as ask:
            yield ask


@contextmanager
def flower(url: str) -> Iterator[Ask]:
    """Flower, in an environment of its own that uv keeps."""
    support, port = SUPPORT / "flower", servers.free_port()
    uv = shutil.which("uv") or str(ROOT / ".make" / "uv" / "bin" / "uv")
    command = [
        uv, "run", "--quiet", "--no-project", "--python", "3.11",
        "--with-requirements", str(support / "requirements.txt"),
        "celery", "--workdir", str(support), "--app", "queues", "flower",
        "--address=127.0.0.1", f"--port={port}", "--logging=error",
    ]  # fmt: skip
    environment = {
        **os.environ, "BROKER": url, "QUEUES": " ".join(NAMES), "FLOWER_UNAUTHENTICATED_API": "1",
    }  # fmt: skip
    with servers.running(command, env=environment) as process:
        servers.wait_for_port(port, process, seconds=120)
        with asked(port, "/api/queues/length") as ask:
            yield ask


def wait_until_shown(who: str, ask: Ask) -> None:
    """A first answer may come before a million keys have been looked through."""
    end = time.monotonic() + READY_S
    while missing := [name for name in NAMES if name not in ask().decode()]:
        if time.monotonic() > end:
            raise RuntimeError(f"{who} does not show {', '.join(missing)}")
        time.sleep(0.1)  # nothing is measured yet


def taken_ms(asks: dict[str, Ask]) -> dict[str, list[float]]:
    """Milliseconds of each question. They take turns, so that a busy machine slows all alike."""
    taken: dict[str, list[float]] = {who: [] for who in asks}
    for round_ in range(ROUNDS + WARM):
        for who, ask in asks.items():
            start = time.perf_counter_ns()
            ask()
            if round_ >= WARM:
                taken[who].append((time.perf_counter_ns() - start) / 1e6)
    return taken


def report(jobs: int, asks: dict[str, Ask], taken: dict[str, list[float]]) -> None:
    """Print the table. The fastest answers are those that nothing else on the machine delayed."""
    table = Table(title=f"all {len(NAMES)} queues of {jobs:,} jobs, {ROUNDS} times, in ms")
    for heading in ("who", "median", "to ours", "fastest", "to ours", "size", "target met"):
        table.add_column(heading, justify="left" if heading == "who" else "right")
    ours = taken["quarterdeck"]
    for who, times in taken.items():
        is_met = median(ours) < (TARGET_MS if times is ours else median(times))
        cells = [
            cell
            for of in (median, min)
            for cell in (f"{of(times):.2f}", f"{of(times) / of(ours):.2f}x")
        ]
        size = f"{len(asks[who]()) / 1000:.1f} kB"
        table.add_row(who, *cells, size, "yes" if is_met else "NO")
    Console(width=100).print(table)


def main(jobs: int) -> None:
    """Fill, ask, print."""
    with ExitStack() as stack:
        redis = stack.enter_context(servers.redis())
        started = time.monotonic()
        fill(redis.url, jobs)
        print(f"{jobs:,} jobs in {time.monotonic() - started:.0f} s", flush=True)
        directory = Path(stack.enter_context(TemporaryDirectory()))
        asks = {
            "quarterdeck": stack.enter_context(quarterdeck(redis.url, directory)),
            "bull-board": stack.enter_context(bull_board(redis.url)),
            "Flower (lengths of Celery's lists)": stack.enter_context(flower(redis.url)),
        }
        for who, ask in asks.items():
            wait_until_shown(who, ask)
        report(jobs, asks, taken_ms(asks))


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("--jobs", type=int, default=1_000_000)
    main(parser.parse_args().jobs)
