"""The guarded HTTP client: resolve, check, and connect to exactly what was checked.

Between a check and a connection a name can change its answer (DNS rebinding), so there is no second look-up:
the connector only ever gets addresses that its resolver has checked, and a last gate looks at the socket
address itself just before it connects. TLS still verifies the name, redirects are not followed (each hop would
be a new target), and no proxy or cookie from the environment or from another call takes part.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

from quintet.domain.errors import Forbidden, Invalid, Quota, TimedOut, Unavailable
from quintet.egress.policy import Address, AddressPolicy
from quintet.egress.target import Target, parse_target
from quintet.ports.egress import BadStatus, EgressReply

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]

# How long a checked answer is used for new connections. Long enough that a busy upstream costs no look-ups,
# short enough that a moved one is found before anybody asks; every address in it has passed the check.
RESOLVE_SECONDS = 30

# More than any test of ours has open at once; bounded because each is a file descriptor (the usual limit of a
# service is 65,536, of a shell 1,024, and the server's own sockets need room too).
MAX_CONNECTIONS = 800

# Time to reach the other side at all; what it may then take is the caller's `timeout`.
CONNECT_SECONDS = 10.0

# What is kept of an error answer to a streamed call.
ERROR_BYTES = 64 * 1024


_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class GuardedEgress:
    """`ports.egress.Egress` over aiohttp.

    `allow`: networks (CIDR) that may be reached although they are not public. `lookup(host, port)` returns
    address texts and is replaced in tests; `tls` is a context for servers with a private authority.
    The session belongs to the event loop of the first call; `close` ends it.
    """

    def __init__(
        self,
        allow: Sequence[str] = (),
        *,
        lookup: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = AddressPolicy(allow)
        self._lookup = lookup or system_lookup
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        # Deployments call few URLs very often: parsing and checking one costs 30 µs, remembering nothing.
        self._target = lru_cache(maxsize=1024)(self._checked_target)

    def check_url(self, url: str) -> None:
        """For the moment of configuration: the form of the URL, and its host where that is an address."""
        self._target(url)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        body: bytes | None = None,
        timeout: float = 60.0,
        max_bytes: int = 64 * 1024 * 1024,
    ) -> EgressReply:
        """One call, its reply read whole. `json` is encoded and named in Content-Type unless `body` is given."""
        target = self._target(url)
        data, sent = _payload(headers, json, body)
        with _translated(target):
            async with self._open().request(
                method,
                target.url,
                data=data,
                headers=sent,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_SECONDS),
            ) as response:
                _refuse_redirect(response, target)
                content = await _read_capped(response, max_bytes, target)
                return EgressReply(response.status, response.headers, content)

    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        timeout: float = 600.0,
    ) -> AsyncIterator[bytes]:
        """Pieces as they arrive; closing the iterator early closes the connection."""
        target = self._target(url)
        data, sent = _payload(headers, json, None)
        with _translated(target):
            async with self._open().request(
                method,
                target.url,
                data=data,
                headers=sent,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_SECONDS),
            ) as response:
                _refuse_redirect(response, target)
                if response.status >= 400:
                    text = await response.content.read(ERROR_BYTES)
                    raise BadStatus(EgressReply(response.status, response.headers, text))
                async for piece in response.content.iter_any():
                    yield piece

    async def close(self) -> None:
        """Ends all connections. A later call would open a new session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _checked_target(self, url: str) -> Target:
        target = parse_target(url)
        if target.address is not None:
            self._check_address(target.address, target.host)
        elif target.host == "localhost" or target.host.endswith(".localhost"):
            # These names mean loopback everywhere; whoever configures one should hear of it now.
            reasons = [self._policy.refusal(ip_address(text)) for text in ("127.0.0.1", "::1")]
            if all(reasons):
                raise _refused(target.host, "loopback")
        return target

    def _check_address(self, address: Address, host: str) -> None:
        reason = self._policy.refusal(address)
        if reason is not None:
            raise _refused(host, reason)

    def _open(self) -> aiohttp.ClientSession:
        session = self._session
        if session is None or session.closed:
            connector = aiohttp.TCPConnector(
                resolver=_CheckedResolver(self._lookup, self._check_address),
                ttl_dns_cache=RESOLVE_SECONDS,
                limit=MAX_CONNECTIONS,
                ssl=self._tls or True,
                socket_factory=self._gated_socket,
            )
            session = self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                # Replies of models are small, and a compressed one could grow past any announced size.
                headers={"Accept-Encoding": "identity", "User-Agent": "quintet"},
            )
        return session

    def _gated_socket(self, info: AddrInfoType) -> socket.socket:
        """The last gate: whatever way an address came here, it is judged once more before it is connected to."""
        family, kind, proto, _, address = info
        self._check_address(ip_address(str(address[0])), str(address[0]))
        return socket.socket(family, kind, proto)


async def system_lookup(host: str, port: int) -> Sequence[str]:
    """The addresses of a name from the system's resolver, in its order of preference."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(info[4][0]) for info in found]


class _CheckedResolver(AbstractResolver):
    """Answers with addresses that passed the check, or not at all: one bad address refuses the whole name."""

    def __init__(self, lookup: Lookup, check: Callable[[Address, str], None]) -> None:
        self._lookup = lookup
        self._check = check

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        results: list[ResolveResult] = []
        for text in await self._lookup(host, port):
            address = ip_address(text)
            self._check(address, host)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(address),
                    port=port,
                    family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                    proto=socket.IPPROTO_TCP,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        if not results:
            raise OSError(f"no addresses for {host}")
        return results

    async def close(self) -> None:
        """Nothing is held open between look-ups."""


def _payload(headers: Mapping[str, str] | None, json: Any, body: bytes | None) -> tuple[bytes | None, dict[str, str]]:
    sent = dict(headers or {})
    for name, value in sent.items():
        if _UNSENDABLE.search(name) or _UNSENDABLE.search(value):
            raise Invalid("a header must not contain line breaks or other control characters", field="headers")
    if body is not None or json is None:
        return body, sent
    if not any(name.lower() == "content-type" for name in sent):
        sent["Content-Type"] = "application/json"
    return msgspec.json.encode(json), sent


async def _read_capped(response: aiohttp.ClientResponse, max_bytes: int, target: Target) -> bytes:
    announced = response.content_length
    if announced is not None and announced > max_bytes:
        raise _too_large(target, max_bytes)
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > max_bytes:
            raise _too_large(target, max_bytes)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _refuse_redirect(response: aiohttp.ClientResponse, target: Target) -> None:
    if 300 <= response.status < 400:
        raise Unavailable(
            f"'{target.host}' answered with a redirect ({response.status}), which is not followed: give the final URL",
            status=response.status,
        )


def _refused(host: str, reason: str) -> Forbidden:
    return Forbidden(f"'{host}' is not allowed as a target: its address is {reason}", field="url", reason=reason)


def _too_large(target: Target, max_bytes: int) -> Quota:
    return Quota(f"the reply of '{target.host}' is larger than {max_bytes} bytes", limit=max_bytes)


@contextmanager
def _translated(target: Target) -> Generator[None]:
    """aiohttp's errors as ours. Only the host is named: paths, queries and headers can hold secrets."""
    try:
        yield
    except TimeoutError as exc:
        if isinstance(exc, aiohttp.ConnectionTimeoutError):
            raise Unavailable(f"'{target.host}' cannot be reached") from exc
        raise TimedOut(f"'{target.host}' did not answer in time") from exc
    except aiohttp.ClientConnectorCertificateError as exc:
        raise Unavailable(f"'{target.host}' has no valid certificate for this name") from exc
    except aiohttp.ClientConnectorDNSError as exc:
        raise Unavailable(f"'{target.host}' cannot be resolved") from exc
    except aiohttp.ClientConnectorError as exc:
        raise Unavailable(f"'{target.host}' cannot be reached") from exc
    except aiohttp.InvalidURL as exc:
        raise Invalid("the URL cannot be fetched", field="url") from exc
    except aiohttp.ClientError as exc:
        raise Unavailable(f"the connection to '{target.host}' broke off") from exc
