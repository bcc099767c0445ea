"""Syslog by RFC 5424 and RFC 3164, over UDP, TCP and TLS."""

from quarterdeck.logs.adapters.syslog.frames import read_frame
from quarterdeck.logs.adapters.syslog.listener import SyslogListener
from quarterdeck.logs.adapters.syslog.options import SyslogOptions, SyslogStats

__all__ = ["SyslogListener", "SyslogOptions", "SyslogStats", "read_frame"]
