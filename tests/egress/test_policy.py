"""Which addresses and which spellings of URLs get past the guard."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from quintet.domain.errors import Forbidden, Invalid
from quintet.egress import AddressPolicy, GuardedEgress, parse_target

REFUSED = [
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "unspecified"),
    ("10.0.0.1", "private"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.168.1.1", "private"),
    ("100.64.0.1", "shared carrier"),
    ("169.254.1.1", "link-local"),
    ("169.254.169.254", "cloud metadata"),
    ("169.254.170.2", "cloud metadata"),
    ("168.63.129.16", "cloud metadata"),
    ("100.100.100.200", "cloud metadata"),
    ("192.0.0.8", "reserved"),
    ("192.0.2.1", "documentation"),
    ("198.18.0.1", "benchmarking"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "reserved"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local"),
    ("2606:4700::1%eth0", "link-local"),
    ("fc00::1", "private"),
    ("fd12:3456::1", "private"),
    ("fec0::1", "private"),
    ("fd00:ec2::254", "cloud metadata"),
    ("fd20:ce::254", "cloud metadata"),
    ("ff02::1", "multicast"),
    ("100::1", "reserved"),
    ("4000::1", "reserved"),
    ("2001:db8::1", "documentation"),
    ("2001:0:1::1", "reserved"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:10.0.0.1", "private"),
    ("::ffff:169.254.169.254", "cloud metadata"),
    ("::127.0.0.1", "reserved"),
    ("2002:7f00:1::", "loopback"),
    ("2002:a00:1::1", "private"),
    ("2002:a9fe:a9fe::", "cloud metadata"),
    ("64:ff9b::7f00:1", "loopback"),
    ("64:ff9b::a9fe:a9fe", "cloud metadata"),
    ("64:ff9b:1::7f00:1", "reserved"),
    ("2606:4700::5efe:10.0.0.1", "private"),
    ("2606:4700::200:5efe:127.0.0.1", "loopback"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_addresses_that_are_not_public_are_refused(text: str, reason: str) -> None:
    assert AddressPolicy().refusal(ip_address(text)) == reason


@pytest.mark.parametrize(
    "text",
    ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "169.253.1.1", "2606:4700::1111", "2a00:1450::1",
     "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808"],
)  # fmt: skip
def test_public_addresses_pass(text: str) -> None:
    assert AddressPolicy().refusal(ip_address(text)) is None


@pytest.mark.parametrize(
    ("allow", "text"),
    [
        ("127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.0/8", "::ffff:127.0.0.1"),
        ("10.1.0.0/16", "10.1.255.255"),
        ("::1/128", "::1"),
        ("fd00::/8", "fd00::7"),
        ("169.254.169.254/32", "169.254.169.254"),
    ],
)
def test_the_operator_can_allow_a_network(allow: str, text: str) -> None:
    assert AddressPolicy([allow]).refusal(ip_address(text)) is None


@pytest.mark.parametrize(
    ("allow", "text"),
    [
        ("10.1.0.0/16", "10.2.0.1"),
        ("127.0.0.0/8", "::1"),
        ("127.0.0.0/8", "10.0.0.1"),
        ("0.0.0.0/0", "169.254.169.254"),
        ("169.254.0.0/16", "::ffff:169.254.169.254"),
        ("fd00::/8", "fd00:ec2::254"),
        ("::/0", "::ffff:10.0.0.1"),
        ("2002::/16", "2002:7f00:1::"),
    ],
)
def test_an_allowance_opens_what_it_names_and_no_more(allow: str, text: str) -> None:
    assert AddressPolicy([allow]).refusal(ip_address(text)) is not None


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "localhost", "10.0.0.0/8/8"])
def test_an_allowance_that_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        AddressPolicy([text])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "http://127.1/",
        "http://127.0.1:8080/x",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0X7F.0.0.1/",
        "http://0x7f.1/",
        "http://017700000001/",
        "http://0177.0.0.01/",
        "http://0/",
        "http://0x/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://127\u30020\u30020\u30021/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "https://169.254.169.254/latest/meta-data/",
        "http://0xa9fea9fe/",
        "http://2852039166/",
        "http://[fd00:ec2::254]/",
        "http://localhost:9000/",
        "http://LOCALHOST./",
        "http://x.localhost/",
    ],
)
def test_odd_spellings_of_inner_targets_are_refused_at_configuration(url: str) -> None:
    with pytest.raises(Forbidden) as caught:
        GuardedEgress().check_url(url)
    assert caught.value.field == "url"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:25/",
        "javascript:alert(1)",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:pw@example.com/",
        "http://@127.0.0.1/",
        "http://:@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://exa mple.com/",
        "http://example.com/\r\nHost: x",
        "http://example.com/\x00",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:x/",
        "http://%31%32%37.0.0.1/",
        "http://127.0.0.1%2f@example.com/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://[v1.x]:x/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://1.2.3.08/",
        "http://127.0.0.0x100/",
        "http://4294967296/",
        "http://a.1/",
        "http://" + "a" * 9000,
    ],
)
def test_malformed_and_ambiguous_urls_are_invalid(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        GuardedEgress(["0.0.0.0/0", "::/0"]).check_url(url)
    assert caught.value.field == "url"


@pytest.mark.parametrize(
    ("url", "host", "port", "sent"),
    [
        ("https://example.com/v1?q=a%20b", "example.com", 443, "https://example.com/v1?q=a%20b"),
        ("http://Example.COM.:8080/", "example.com", 8080, "http://example.com:8080/"),
        ("http://münchen.example/", "xn--mnchen-3ya.example", 80, "http://xn--mnchen-3ya.example/"),
        ("http://under_score.internal/", "under_score.internal", 80, "http://under_score.internal/"),
        ("http://134744072/dns", "8.8.8.8", 80, "http://8.8.8.8/dns"),
        ("http://8.8.8.8@/", None, 0, ""),
        ("http://example.com/@x?u=http://a@b", "example.com", 80, "http://example.com/@x?u=http://a@b"),
        ("https://[2606:4700::1111]:8443/", "2606:4700::1111", 8443, "https://[2606:4700::1111]:8443/"),
    ],
)
def test_a_url_is_read_one_way(url: str, host: str | None, port: int, sent: str) -> None:
    if host is None:
        with pytest.raises(Invalid):
            parse_target(url)
        return
    target = parse_target(url)
    assert (target.host, target.port, str(target.url)) == (host, port, sent)


def test_allowed_targets_pass_at_configuration() -> None:
    egress = GuardedEgress(["127.0.0.0/8", "::1"])
    for url in ("http://127.0.0.1:1/", "http://2130706433/", "http://localhost/", "http://[::1]/"):
        egress.check_url(url)
