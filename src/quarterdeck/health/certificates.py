"""What a probe tells of the certificate that it was shown."""

from datetime import datetime

from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Stage
from quarterdeck.net.reasons import is_certificate_refused
from quarterdeck.net.tls import days_until, unverified_end


def note_end(stage: Stage, toolbox: Toolbox, end: datetime | None) -> None:
    """Write down how many days it has left; nothing without TLS."""
    days = days_until(end, toolbox.clock())
    if days is not None:
        stage.metrics["tls_expires_in_days"] = days


async def note_refused_end(
    stage: Stage, toolbox: Toolbox, error: Exception, host: str, port: int
) -> None:
    """Write it down of a certificate that was refused, too: it may just have ended.

    For ports that begin with TLS; costs another handshake.
    """
    if is_certificate_refused(error):
        note_end(stage, toolbox, await unverified_end(toolbox.guard, host, port))
