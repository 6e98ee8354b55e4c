"""The client itself: what it connects to, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from quintet.domain.errors import Forbidden, Invalid, Quota, TimedOut, Unavailable
from quintet.egress import GuardedEgress
from quintet.ports.egress import BadStatus

LOOPBACK = ["127.0.0.0/8"]


def names(**table: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver out of a table, with the dots of names written as underscores."""

    async def lookup(host: str, port: int) -> Sequence[str]:
        return table[host.replace(".", "_")]

    return lookup


GONE = web.AppKey("gone", asyncio.Event)
PEERS = web.AppKey("peers", set)


async def handle(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.app[PEERS].add(request.transport.get_extra_info("peername"))
    match request.path:
        case "/echo":
            body = await request.text()
            seen = {k.lower(): v for k, v in request.headers.items()}
            return web.json_response({"body": body, "headers": seen, "method": request.method})
        case "/redirect":
            return web.Response(status=302, headers={"Location": "http://169.254.169.254/"})
        case "/missing":
            return web.json_response({"error": "no"}, status=404)
        case "/hang":
            await asyncio.sleep(30)
        case "/endless":
            reply = web.StreamResponse()
            await reply.prepare(request)
            with contextlib.suppress(ConnectionError):
                while True:
                    await reply.write(b"x" * 10_000)
            request.app[GONE].set()
            return reply
        case "/drop":
            request.transport.close()
    return web.Response(text="hello")


@contextlib.asynccontextmanager
async def server(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, web.Application]]:
    app = web.Application()
    app[GONE] = asyncio.Event()
    app[PEERS] = set()
    app.router.add_route("*", "/{any:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield runner.addresses[0][1], app
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def closing(egress: GuardedEgress) -> AsyncIterator[GuardedEgress]:
    try:
        yield egress
    finally:
        await egress.close()


def test_a_call_goes_out_and_its_reply_comes_back() -> None:
    async def run() -> None:
        async with server() as (port, _), closing(GuardedEgress(LOOPBACK)) as egress:
            url = f"http://127.0.0.1:{port}/echo"
            reply = await egress.request("POST", url, json={"a": "ü"}, headers={"X-One": "1"})
            assert reply.status == 200
            text = reply.body.decode()
            assert '{\\"a\\":\\"ü\\"}' in text or '{\\"a\\":\\"\\u00fc\\"}' in text
            assert '"x-one": "1"' in text
            assert '"content-type": "application/json"' in text
            assert reply.headers["content-type"].startswith("application/json")
            assert (await egress.request("GET", f"http://127.0.0.1:{port}/missing")).status == 404

    asyncio.run(run())


def test_a_name_that_leads_inside_is_refused_before_any_connection() -> None:
    async def run() -> None:
        lookup = names(evil_test=["127.0.0.1"], mixed_test=["1.1.1.1", "10.0.0.7"], mapped_test=["::ffff:127.0.0.1"])
        async with server() as (port, _), closing(GuardedEgress(lookup=lookup)) as egress:
            for host in ("evil.test", "mixed.test", "mapped.test"):
                with pytest.raises(Forbidden):
                    await egress.request("GET", f"http://{host}:{port}/")
                with pytest.raises(Forbidden):
                    await anext(aiter(egress.stream("GET", f"http://{host}:{port}/")))

    asyncio.run(run())


def test_the_connection_is_pinned_to_the_checked_answer() -> None:
    """A name that answers well once and badly ever after must not get a second chance within one call."""
    asked = 0

    async def rebinding(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ["127.0.0.1"] if asked == 1 else ["127.0.0.2"]

    async def run() -> None:
        async with server() as (port, _), closing(GuardedEgress(["127.0.0.1"], lookup=rebinding)) as egress:
            for _ in range(3):
                reply = await egress.request("GET", f"http://rebind.test:{port}/")
                assert reply.body == b"hello"
            assert asked == 1

    asyncio.run(run())


def test_the_last_gate_holds_even_if_the_resolver_were_fooled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        egress = GuardedEgress(["127.0.0.1"], lookup=names(a_test=["127.0.0.1"]))
        async with server() as (port, _), closing(egress):
            session = egress._open()
            monkeypatch.setattr(session.connector._resolver, "_check", lambda *_: None)  # type: ignore[union-attr]
            egress._lookup = names(a_test=["127.0.0.2"])
            session.connector._resolver._lookup = egress._lookup  # type: ignore[union-attr]
            with pytest.raises(Forbidden):
                await egress.request("GET", f"http://a.test:{port}/")

    asyncio.run(run())


def test_connections_are_used_again() -> None:
    async def run() -> None:
        async with server() as (port, app), closing(GuardedEgress(LOOPBACK)) as egress:
            for _ in range(5):
                await egress.request("GET", f"http://127.0.0.1:{port}/")
            assert len(app[PEERS]) == 1

    asyncio.run(run())


def test_redirects_are_not_followed() -> None:
    async def run() -> None:
        async with server() as (port, _), closing(GuardedEgress(LOOPBACK)) as egress:
            with pytest.raises(Unavailable, match="redirect"):
                await egress.request("GET", f"http://127.0.0.1:{port}/redirect")
            with pytest.raises(Unavailable, match="redirect"):
                await anext(aiter(egress.stream("GET", f"http://127.0.0.1:{port}/redirect")))

    asyncio.run(run())


def test_time_and_size_have_limits() -> None:
    async def run() -> None:
        async with server() as (port, app), closing(GuardedEgress(LOOPBACK)) as egress:
            with pytest.raises(TimedOut):
                await egress.request("GET", f"http://127.0.0.1:{port}/hang", timeout=0.1)
            with pytest.raises(Quota):
                await egress.request("GET", f"http://127.0.0.1:{port}/endless", max_bytes=100_000)
            await asyncio.wait_for(app[GONE].wait(), 5)
            with pytest.raises(Quota):
                await egress.request("GET", f"http://127.0.0.1:{port}/", max_bytes=4)
            assert (await egress.request("GET", f"http://127.0.0.1:{port}/", max_bytes=5)).body == b"hello"

    asyncio.run(run())


def test_a_stream_ends_its_connection_when_the_reader_leaves() -> None:
    async def run() -> None:
        async with server() as (port, app), closing(GuardedEgress(LOOPBACK)) as egress:
            pieces = egress.stream("GET", f"http://127.0.0.1:{port}/endless")
            assert (await anext(pieces)).startswith(b"x")
            await pieces.aclose()
            await asyncio.wait_for(app[GONE].wait(), 5)

    asyncio.run(run())


def test_a_streamed_error_status_raises_with_the_reply() -> None:
    async def run() -> None:
        async with server() as (port, _), closing(GuardedEgress(LOOPBACK)) as egress:
            with pytest.raises(BadStatus) as caught:
                await anext(aiter(egress.stream("GET", f"http://127.0.0.1:{port}/missing")))
            assert caught.value.reply.status == 404
            assert b"no" in caught.value.reply.body

    asyncio.run(run())


def test_failures_name_the_host_and_nothing_else() -> None:
    async def run() -> None:
        async def nowhere(host: str, port: int) -> Sequence[str]:
            raise OSError("no such name")

        async with server() as (port, _), closing(GuardedEgress(LOOPBACK, lookup=nowhere)) as egress:
            for url in (f"http://nowhere.test:{port}/p?key=hidden", f"http://127.0.0.1:{port}/drop?key=hidden",
                        "http://127.0.0.1:1/?key=hidden"):  # fmt: skip
                with pytest.raises(Unavailable) as caught:
                    await egress.request("GET", url, headers={"Authorization": "hidden"})
                assert "hidden" not in str(caught.value)

    asyncio.run(run())


@pytest.mark.parametrize("header", [{"X": "a\r\nY: b"}, {"X\n": "a"}, {"X": "\x00"}])
def test_headers_cannot_smuggle_lines(header: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        asyncio.run(GuardedEgress(LOOPBACK).request("GET", "http://127.0.0.1:1/", headers=header))


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server context with a self-signed certificate for `name`, and a client context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "cert.pem"
    pem.write_bytes(
        cert.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    trusting = ssl.create_default_context(cadata=cert.public_bytes(serialization.Encoding.PEM).decode())
    return serving, trusting


def test_tls_verifies_the_name_although_the_address_is_pinned(tmp_path: Path) -> None:
    serving, trusting = certificate(tmp_path, "good.test")
    lookup = names(good_test=["127.0.0.1"], other_test=["127.0.0.1"])

    async def run() -> None:
        async with server(serving) as (port, _):
            async with closing(GuardedEgress(LOOPBACK, lookup=lookup, tls=trusting)) as egress:
                assert (await egress.request("GET", f"https://good.test:{port}/")).body == b"hello"
                with pytest.raises(Unavailable, match="certificate"):
                    await egress.request("GET", f"https://other.test:{port}/")
            async with closing(GuardedEgress(LOOPBACK, lookup=lookup)) as egress:
                with pytest.raises(Unavailable, match="certificate"):
                    await egress.request("GET", f"https://good.test:{port}/")

    asyncio.run(run())


def test_the_real_resolver_is_checked_too() -> None:
    async def run() -> None:
        async with closing(GuardedEgress()) as egress:
            with pytest.raises((Forbidden, Unavailable)):
                await egress.request("GET", "http://ip6-localhost:1/")
        async with server() as (port, _), closing(GuardedEgress([*LOOPBACK, "::1"])) as egress:
            assert (await egress.request("GET", f"http://localhost:{port}/")).body == b"hello"

    asyncio.run(run())
