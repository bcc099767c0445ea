"""Real mail servers for tests: Postfix and Exim in directories of their own, and a sink that takes
letters, refuses some, and asks for patience with others."""

import os
import shutil
import smtplib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

import servers

ROOT = Path(__file__).parents[1]
SENDING = "127.0.0.7"
OTHERS = "127.0.0.9"
"""Where the sink is; 127.0.0.1 is a filter's place."""
LETTER = "Subject: sample\n\nA letter.\n"


class _Answers:
    """By what the recipient's name begins with."""

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, to: str, _: Any) -> str:  # noqa: N802 - aiosmtpd calls it so
        if to.startswith("bad"):
            return "550 5.1.1 no such user"
        if to.startswith("gone"):
            return "550 who is that?"
        if to.startswith("later"):
            return "450 4.2.0 greylisted"
        envelope.rcpt_tos.append(to)
        return "250 2.1.5 ok"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the same
        is_spam = any(each.startswith("spam") for each in envelope.rcpt_tos)
        return "550 no spam, please" if is_spam else "250 2.0.0 taken"


@contextmanager
def sink() -> Iterator[int]:
    """An SMTP server; gives its port."""
    port = servers.free_port()
    controller = Controller(_Answers(), hostname=OTHERS, port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def require_root() -> None:
    """Mail servers give up root's rights by themselves, and want to have them before."""
    if os.geteuid() != 0:
        raise RuntimeError("Postfix and Exim start as root only: run the tests as root.")


MAIN_CF = """
compatibility_level = 3.6
queue_directory = {at}/spool
data_directory = {at}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {at}/spool/mail.log
maillog_file_prefixes = {at}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
myhostname = mta.sender.test
mynetworks = 127.0.0.0/8
relayhost = [{others}]:{sink}
default_transport = out7
transport_maps = inline:{{ {{ bulk.test = bulk:[{others}]:{sink} }} }}
smtp_tls_security_level = none
smtpd_peername_lookup = no
"""
MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
scache unix - - n - 1 scache
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
out7 unix - - n - - smtp -o smtp_bind_address={sending} -o syslog_name=postfix/out-{sending}
bulk unix - - n - - smtp -o syslog_name=postfix/bulk-eu
"""


@contextmanager
def postfix(sink_port: int) -> Iterator[tuple[int, Path]]:
    """Postfix; gives its port and its log."""
    require_root()
    with servers.own_directory("qd-postfix-") as directory:
        directory.chmod(0o755)
        port = servers.free_port()
        for name in ("conf", "spool", "data"):
            (directory / name).mkdir()
        shutil.chown(directory / "data", "postfix")
        given = {"at": directory, "sink": sink_port, "port": port}
        given |= {"sending": SENDING, "others": OTHERS}
        (directory / "conf" / "main.cf").write_text(MAIN_CF.format(**given))
        (directory / "conf" / "master.cf").write_text(MASTER_CF.format(**given))
        command = [servers.program("postfix"), "-c", str(directory / "conf")]
        subprocess.run([*command, "start"], check=True, capture_output=True)
        try:
            _wait_for_greeting(port)
            yield port, directory / "spool" / "mail.log"
        finally:
            subprocess.run([*command, "abort"], check=False, capture_output=True)


def send(port: int, sender: str, *recipients: str) -> None:
    """One letter."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.sendmail(sender, recipients, LETTER)


EXIM = """
exim_path = {program}
keep_environment =
primary_hostname = mta.sender.test
spool_directory = {at}/spool
log_file_path = {at}/log/%slog
log_selector = +incoming_interface +outgoing_interface
begin routers
r:
  driver = manualroute
  route_list = * {others}
  self = send
  transport = t
begin transports
t:
  driver = smtp
  port = {sink}
  interface = {sending}
  hosts_avoid_tls = *
begin retry
* * F,1h,10m
"""


@contextmanager
def exim(sink_port: int) -> Iterator[tuple[list[str], Path]]:
    """Exim; gives the command that sends a letter at once, and its log."""
    require_root()
    program = ROOT / ".make" / "exim" / "usr" / "sbin" / "exim4"
    if not program.exists():
        raise RuntimeError("Exim is not there: run `make system-packages`.")
    with servers.own_directory("qd-exim-") as directory:
        directory.chmod(0o755)
        for name in ("spool", "log"):
            (directory / name).mkdir()
            shutil.chown(directory / name, "Debian-exim")
        given = {"at": directory, "sink": sink_port, "program": program}
        given |= {"sending": SENDING, "others": OTHERS}
        (directory / "exim.conf").write_text(EXIM.format(**given))
        yield [str(program), "-C", str(directory / "exim.conf"), "-odf"], directory / "log/mainlog"


def lines_until(log: Path, *wanted: str, seconds: float = 60) -> list[str]:
    """The lines of a log once all these texts are in it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = log.read_text() if log.exists() else ""
        if all(each in text for each in wanted):
            return text.splitlines()
        time.sleep(0.05)
    raise AssertionError(f"{wanted} are not in {text}")


def _wait_for_greeting(port: int, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            smtplib.SMTP("127.0.0.1", port, timeout=5).quit()
        except (OSError, smtplib.SMTPException):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("Postfix does not greet")
