"""A client of an Iceberg REST catalogue with a timeout: PyIceberg's own waits for ever."""

from typing import Any

from pyiceberg.catalog.rest import RestCatalog
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

from storymesh.federation.access import CONNECT_S, IDLE_TIMEOUT_S

CLIENT = f"{__name__}.TimeoutRestCatalog"
LIMIT = "storymesh.silence-s"
"""The property with the seconds after which the service is left."""


class TimeoutRestCatalog(RestCatalog):
    """PyIceberg's client, each of whose requests has a limit of time."""

    def _create_session(self) -> Session:
        session: Session = super()._create_session()
        seconds = float(self.properties.get(LIMIT, IDLE_TIMEOUT_S))
        for prefix in ("http://", "https://"):
            session.mount(prefix, _LimitedAdapter(seconds))
        return session


class _LimitedAdapter(HTTPAdapter):
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        super().__init__()

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        return super().send(request, *args, **{**options, "timeout": (CONNECT_S, self._seconds)})
