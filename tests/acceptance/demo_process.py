"""`quarterdeck demo` as a child process."""

import re
import subprocess
import threading
from pathlib import Path

import servers
from acceptance.server_process import ServerProcess, wait_until

ANNOUNCED = re.compile(r"curl -H 'Authorization: Bearer (qd_ops_\w+)' (http://\S+)\n")


class DemoProcess(ServerProcess):
    """`quarterdeck demo` and what it says on standard output."""

    said: str = ""
    pace: str = "1"

    def start(self) -> None:
        self.port = self.port or servers.free_port()
        self.said = ""
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command("demo", "--port", str(self.port), "--pace", self.pace),
                stdout=subprocess.PIPE, stderr=log, env=self._environment(),
            )  # fmt: skip
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        wait_until(lambda: ANNOUNCED.search(self.said) is not None, 60)
        wait_until(lambda: self.call("GET", "/healthz", prefix="").status == 200)

    def _read(self) -> None:
        assert self.process
        assert self.process.stdout
        for line in self.process.stdout:
            self.said += line.decode()

    def end(self, number: int) -> int:
        assert self.process
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.reader.join()
        assert self.process.stdout
        self.process.stdout.close()
        return code

    @property
    def announced(self) -> tuple[str, str]:
        """The token, and the URL of the line to try."""
        found = ANNOUNCED.search(self.said)
        assert found
        return found[1], found[2]

    def children(self) -> list[int]:
        """Living processes of the sample platform."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes().decode()
            except OSError:
                continue
            if "quarterdeck.demo." in command and str(self.directory) in command:
                found.append(int(entry.name))
        return found

    def status_with(self, token: str) -> int:
        return self.call("GET", "/queues", token=token).status
