"""One server for each data directory."""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from quarterdeck.core.errors import ConfigError


class DataDirLock:
    """An advisory lock on `server.lock`; the kernel drops it when the process dies."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "server.lock"
        self._descriptor: int | None = None

    def __enter__(self) -> "DataDirLock":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode().strip() or "unknown"
            os.close(descriptor)
            raise ConfigError(
                f"Another server (process {holder}) already uses the data directory "
                f"{self._path.parent}. Stop it, or give this one another --data-dir."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
