"""Errors become a dialect's rows, faults are masked; bodies are bounded and name the field that is wrong."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest
from tests.dialects.kit.wire import Sent, run

from quintet.dialects.kit.body import convert, decode_json, decode_json_lines, read_body, read_form
from quintet.dialects.kit.errors import MASKED, BodyTooLarge, ErrorTable, as_family
from quintet.domain.errors import FAMILY, Internal, Invalid, NotFound, QuintetError, Quota


class Message(msgspec.Struct):
    role: str


class Chat(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    messages: list[Message] = []
    counts: dict[str, int] = {}


def test_a_row_is_searched_along_the_classes() -> None:
    table = ErrorTable({Quota: 429, QuintetError: 500})
    assert table.row(BodyTooLarge("too large")) == 429
    assert table.row(NotFound) == 500


def test_a_table_is_total_when_every_class_has_a_row_of_its_own() -> None:
    assert ErrorTable(dict.fromkeys(FAMILY, 400)).total()
    partial = ErrorTable({**{kind: 400 for kind in FAMILY if kind is not Invalid}, QuintetError: 500})
    assert not partial.total()
    assert partial.missing() == (Invalid,)


def test_a_class_without_any_row_is_a_fault() -> None:
    with pytest.raises(LookupError, match="Invalid"):
        ErrorTable({Quota: 429}).row(Invalid("no"))


def test_faults_are_masked_and_logged_with_the_request(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        shown = as_family(ValueError("password is hunter2"), "r-17")
    assert isinstance(shown, Internal)
    assert shown.message == MASKED
    assert "r-17" in caplog.text
    assert "hunter2" in caplog.text


def test_an_internal_error_of_ours_is_masked_too() -> None:
    assert as_family(Internal("table x is corrupt"), "r").message == MASKED


def test_expected_errors_pass_unchanged_and_unlogged(caplog: pytest.LogCaptureFixture) -> None:
    error = NotFound.of("run", 1)
    assert as_family(error, "r") is error
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"model": 1}', "model"),
        (b"{}", "model"),
        (b'{"model": "m", "messages": [{"role": "u"}, {}]}', "messages[1].role"),
        (b'{"model": "m", "messages": [{"role": null}]}', "messages[0].role"),
        (b'{"model": "m", "counts": {"a": "x"}}', "counts[...]"),
        (b'{"model": "m", "colour": 1}', "colour"),
        (b"[]", "body"),
        (b"{", "body"),
        (b'{"model": "\xff"}', "body"),
        (b"[" * 200_000, "body"),
    ],
)
def test_what_is_wrong_in_a_body_is_named(raw: bytes, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode_json(raw, Chat)
    assert caught.value.field == field
    assert "`" not in caught.value.message
    assert "$" not in caught.value.message


def test_deep_nesting_without_a_type_is_refused() -> None:
    with pytest.raises(Invalid, match="not valid JSON"):
        decode_json(b"[" * 200_000, object)


def test_a_wrong_key_of_a_mapping_is_named_without_msgspec_syntax() -> None:
    with pytest.raises(Invalid) as caught:
        decode_json(b'{"x": 1}', dict[int, int])
    assert "$" not in caught.value.message


def test_lines_name_the_line() -> None:
    assert decode_json_lines(b'{"role": "a"}\n\n{"role": "b"}\n', Message) == [Message("a"), Message("b")]
    with pytest.raises(Invalid) as caught:
        decode_json_lines(b'{"role": "a"}\n[1]\n', Message)
    assert caught.value.field == "[1]"


def test_text_becomes_numbers_only_when_asked() -> None:
    assert convert({"a": "12"}, dict[str, int], strict=False) == {"a": 12}
    with pytest.raises(Invalid):
        convert({"a": "12"}, dict[str, int])


def test_a_body_at_the_limit_is_read_whole() -> None:
    assert run(read_body(Sent(body=[b"abc", b"def"]).request(), 6)) == b"abcdef"


def test_a_body_over_the_limit_is_refused_before_the_rest_is_read() -> None:
    sent = Sent(body=[b"x" * 4] * 10)
    with pytest.raises(BodyTooLarge):
        run(read_body(sent.request(), 6))
    assert sent.read == 2


def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    sent = Sent(body=b"x", headers={"content-length": "100"})
    with pytest.raises(BodyTooLarge):
        run(read_body(sent.request(), 6))
    assert sent.read == 0


def test_a_client_that_hangs_up_is_no_fault_of_ours() -> None:
    sent = Sent(body=())
    with pytest.raises(Invalid, match="closed"):
        run(read_body(sent.request(), 6))


def multipart(parts: dict[str, bytes]) -> tuple[bytes, dict[str, str]]:
    body = b"".join(
        b'--B\r\nContent-Disposition: form-data; name="%s"; filename="f"\r\n\r\n%s\r\n' % (name.encode(), data)
        for name, data in parts.items()
    )
    return body + b"--B--\r\n", {"content-type": "multipart/form-data; boundary=B"}


async def form_names(sent: Sent, limit: int) -> list[Any]:
    async with read_form(sent.request(), limit) as form:
        return sorted(form)


def test_forms_are_bounded_as_a_whole() -> None:
    body, headers = multipart({"a": b"x" * 3_000, "b": b"y" * 3_000})
    chunks = [body[i : i + 1_000] for i in range(0, len(body), 1_000)]
    assert run(form_names(Sent(body=chunks, headers=headers), 10_000)) == ["a", "b"]
    small = Sent(body=chunks, headers=headers)
    with pytest.raises(BodyTooLarge):
        run(form_names(small, 4_000))
    assert small.read == 5


def test_a_broken_form_is_invalid() -> None:
    with pytest.raises(Invalid):
        run(form_names(Sent(body=b"garbage", headers={"content-type": "multipart/form-data"}), 1_000))
