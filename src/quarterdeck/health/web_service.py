"""A service that is asked over HTTP and answers with JSON, over a connection that is kept."""

from collections.abc import Mapping
from typing import Any

import msgspec
from yarl import URL

from quarterdeck.health.addresses import place_of
from quarterdeck.health.certificates import note_end, note_refused_end
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage
from quarterdeck.net.exchange import Answer, HttpExchange
from quarterdeck.net.tls import client_context


class WebService:
    """One server's HTTP interface, below one base URL."""

    def __init__(
        self,
        toolbox: Toolbox,
        url: str,
        ports: dict[str, int],
        *,
        verify_tls: bool,
        ca_file: str,
        key: str = "url",
    ) -> None:
        """Take the base URL, with default ports by scheme; `key` is the setting that gave it.

        Raises:
            ConfigError: the URL or `ca_file` cannot be used.
        """
        self._toolbox = toolbox
        self.place = place_of(url, ports, key)
        self._base = self.place.origin + self.place.path.rstrip("/")
        self._context = (
            client_context(verify_tls, ca_file) if self.place.scheme == "https" else None
        )
        self._http = HttpExchange(toolbox.guard, self._context, keeps=True)

    @property
    def basic_authorization(self) -> dict[str, str]:
        """The header for user and password of the URL; empty without."""
        return self.place.basic_authorization

    async def ask(
        self,
        stage: Stage,
        path: str,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,
        form: bytes | None = None,
    ) -> Answer:
        """GET a path, or POST a form to it. Refused credentials are told apart.

        Raises:
            Misbehaved: 401 or 403.
            Exception: as `HttpExchange.ask`.
        """

        def progress(what: str) -> None:
            stage.waiting_for = what

        method, url = "GET" if form is None else "POST", URL(self._base + path, encoded=True)
        try:
            answer = await self._http.ask(method, url.with_query(query), headers, form, progress)
        except Exception as error:
            place = self.place
            await note_refused_end(stage, self._toolbox, error, place.host, place.port)
            raise
        if self._context is not None:
            note_end(stage, self._toolbox, self._context.certificate_ends_at())
        if answer.status in {401, 403}:
            raise Misbehaved(f"answered {answer.status}: it does not accept our credentials")
        return answer

    async def close(self) -> None:
        """Give the connection back."""
        await self._http.close()


def document_of(answer: Answer, what: str, form: type[Any]) -> Any:
    """Decode a JSON answer into a struct; `what` is what it should be, such as `Elasticsearch`.

    Raises:
        Misbehaved: it is another status than 200, too long, or of another form.
    """
    if answer.status != 200:
        raise Misbehaved(f"answered {answer.status}, expected 200")
    if answer.is_cut:
        raise Misbehaved("it sent more than 64 KiB")
    try:
        return msgspec.json.decode(answer.body, type=form)
    except msgspec.DecodeError:  # a ValidationError is one
        raise Misbehaved(f"it answered with something that is not {what}") from None
