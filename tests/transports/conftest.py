from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator

import pytest
import trustme

from tests.transports.raw_server import Conversation, RawServer

Serve = Callable[..., RawServer]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    return tls_with(authority.issue_cert("127.0.0.1"))


def tls_with(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that plays a script on each connection."""
    servers: list[RawServer] = []

    def start(script: Callable[[Conversation], None], tls: ssl.SSLContext | None = None) -> RawServer:
        servers.append(RawServer(script, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
