"""ClickHouse without us, in a process of its own: `python bare_engine.py VERB DIRECTORY FILE`.

`load` converts FILE's lines as our server does, before any clock runs, then inserts them in files
of the size that our writer makes, and prints seconds. `export` merges what was loaded, then prints
the seconds that the engine takes to write all rows as JSON, newest hour first, to FILE, which is
gone afterwards. Both print one number.
"""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import chdb

from quarterdeck.logs.fast import Converter
from quarterdeck.logs.model import COLUMNS
from quarterdeck.logs.schema import LOGS
from quarterdeck.logs.writer import INSERT_BYTES

SETTINGS = (
    "max_threads=1, max_insert_threads=1, input_format_parallel_parsing=0, "
    "input_format_json_read_objects_as_strings=1, date_time_input_format='best_effort', "
    "exclude_materialize_skip_indexes_on_insert='i_ng', min_insert_block_size_rows=1000000, "
    "max_insert_block_size=1000000"
)


def prepared(lines: Path, spool: Path) -> Iterator[Path]:
    """Files of one day each, as large as one insert of ours."""
    now = datetime.now(UTC)
    converter = Converter(now, now - timedelta(days=90))
    days: dict[int, list[bytes]] = {}
    number = 0

    def written() -> Iterator[Path]:
        nonlocal number
        for pieces in days.values():
            number += 1
            file = spool / f"{number}.rows"
            file.write_bytes(b"".join(pieces))
            yield file
        days.clear()

    size, rest = 0, b""
    with lines.open("rb") as file:
        while data := file.read(1 << 20):
            end = data.rfind(b"\n") + 1
            found = converter.convert(rest + data[:end])
            rest = data[end:]
            for day, rows in found.days.items():
                days.setdefault(day, []).append(rows.data)
            size += found.size
            if size > INSERT_BYTES:
                yield from written()
                size = 0
    yield from written()


def load(directory: Path, lines: Path) -> float:
    """Seconds to insert all rows, each insert durable, one after another."""
    spool = Path("/dev/shm" if Path("/dev/shm").is_dir() else directory) / "quarterdeck-bench"
    spool.mkdir(exist_ok=True)
    connection = chdb.connect(str(directory))
    connection.query(LOGS)
    structure = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items()).replace("'", "\\'")
    spent = 0.0
    for token, file in enumerate(prepared(lines, spool)):
        started = time.perf_counter()
        connection.query(
            f"INSERT INTO logs ({', '.join(COLUMNS)}) SELECT * FROM "
            f"file('{file}', 'JSONCompactEachRow', '{structure}') "
            f"SETTINGS {SETTINGS}, insert_deduplication_token='{token}'"
        )
        spent += time.perf_counter() - started
        file.unlink()
    spool.rmdir()
    connection.close()
    return spent


def export(directory: Path, file: Path) -> float:
    """Seconds to stream all rows to a file, hour by hour, newest first."""
    connection = chdb.connect(str(directory))
    connection.query("OPTIMIZE TABLE logs FINAL")
    hours = connection.query(
        "SELECT DISTINCT toUnixTimestamp(toStartOfHour(timestamp)) AS h FROM logs ORDER BY h DESC",
        "TSV",
    ).bytes()
    started = time.perf_counter()
    with file.open("wb") as sink:
        for hour in hours.split():
            start = int(hour)
            with connection.send_query(
                f"SELECT {', '.join(COLUMNS)} FROM logs WHERE timestamp >= toDateTime({start}) "
                f"AND timestamp < toDateTime({start + 3600}) ORDER BY timestamp DESC "
                "SETTINGS max_threads=1, max_block_size=8192",
                "JSONEachRow",
            ) as blocks:
                for block in blocks:
                    sink.write(block.bytes())
    spent = time.perf_counter() - started
    connection.close()
    if file.is_file():
        file.unlink()
    return spent


if __name__ == "__main__":
    verb, place, source = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    print(load(place, source) if verb == "load" else export(place, source))
