"""From the text of a URL to a target that everybody reads the same way.

Guards are passed when two parsers disagree: the check reads one host, the connection goes to another. So the
text is parsed once, by the client's own parser, odd spellings of addresses (2130706433, 0x7f.1, 0177.0.0.1)
become plain ones before anything is decided, and what is left ambiguous is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from yarl import URL

from quintet.domain.errors import Invalid

MAX_URL = 8192


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL; `address` where its host is written as an address, else the host is a name to resolve."""

    url: URL
    host: str
    port: int
    address: IPv4Address | IPv6Address | None


def parse_target(text: str, *, field: str = "url") -> Target:
    """The target of an http or https URL. Invalid, naming `field`, for anything else."""
    if len(text) > MAX_URL:
        raise Invalid(f"the URL is longer than {MAX_URL} characters", field=field)
    if "\\" in text or any(ord(c) <= 32 or ord(c) == 127 for c in text):
        raise Invalid("the URL must not contain spaces, backslashes or control characters", field=field)
    try:
        url = URL(text)
        host = url.raw_host or ""
        port = url.port
    except ValueError:
        raise Invalid("the URL cannot be parsed", field=field) from None
    if url.scheme not in ("http", "https"):
        raise Invalid("the URL must start with http:// or https://", field=field)
    # The text and not only the parsed form: an empty user name (`http://@host/`) is dropped by the parser.
    authority = text.partition("//")[2].partition("/")[0].partition("?")[0].partition("#")[0]
    if url.raw_user is not None or "@" in authority:
        raise Invalid("the URL must not contain a user name or password", field=field)
    if port is None or not 0 < port < 65536:
        raise Invalid("the port of the URL is out of range", field=field)
    return _with_address(url, host, port, field)


def _with_address(url: URL, host: str, port: int, field: str) -> Target:
    name = host.rstrip(".").lower()
    if not name or not name.isascii() or any(c in name for c in "%/?#@<>^|[]"):
        raise Invalid("the host of the URL is missing or malformed", field=field)
    if ":" in name:
        try:
            address: IPv4Address | IPv6Address = ip_address(name)
        except ValueError:
            raise Invalid("the host of the URL is not an IPv6 address", field=field) from None
        return Target(url, name, port, address)
    numeric = _odd_v4(name, field)
    if numeric is not None:
        return Target(url.with_host(str(numeric)), str(numeric), port, numeric)
    return Target(url if name == host else url.with_host(name), name, port, None)


def _odd_v4(name: str, field: str) -> IPv4Address | None:
    """An IPv4 address in any spelling that some resolver would take for one, or None for a name.

    As browsers do: a host whose last part is a number is an address, or nothing.
    """
    parts = name.split(".")
    if not _is_number(parts[-1]):
        return None
    values = [_number(part) for part in parts]
    if len(values) > 4 or any(v is None for v in values):
        raise Invalid("the host of the URL is not an IPv4 address", field=field)
    known = [v for v in values if v is not None]
    *heads, last = known
    # The last part fills all the bytes that are left: 127.1 is 127.0.0.1.
    if any(h > 255 for h in heads) or last >= 256 ** (4 - len(heads)):
        raise Invalid("the host of the URL is not an IPv4 address", field=field)
    value = last
    for place, head in enumerate(heads):
        value += head << (8 * (3 - place))
    return IPv4Address(value)


def _is_number(part: str) -> bool:
    return part.isdecimal() or _number(part) is not None


def _number(part: str) -> int | None:
    """Decimal, octal with a leading 0, hexadecimal with 0x (alone it is zero)."""
    if not part.isascii():
        return None
    try:
        if part.startswith("0x"):
            return int(part[2:], 16) if part[2:].isalnum() else (0 if part == "0x" else None)
        if not part.isdigit():
            return None
        return int(part, 8) if len(part) > 1 and part.startswith("0") else int(part, 10)
    except ValueError:
        return None
