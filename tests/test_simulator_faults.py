"""Faults: their forms, and the words of a wrong one."""

import pytest

from rt_proxy.simulator.faults import Fault, fatal_error, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("delay=1.5", Fault(delay=1.5)),
        ("stall", Fault(stall=True)),
        ("drop=3", Fault(drop=3)),
        ("close=1011", Fault(close=1011)),
        ("close=4999", Fault(close=4999)),
        ("refuse=503", Fault(refuse=503)),
        ("error=invalid_api_key", Fault(error="invalid_api_key")),
        (" drop=3 ", Fault(drop=3)),
    ],
)
def test_every_form_is_read(text: str, fault: Fault) -> None:
    """Each documented form gives its fault and no other."""
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "give delay=SECONDS, stall, drop=EVENTS, close=CODE, refuse=STATUS or error=CODE"),
        ("explode", "unknown fault 'explode'"),
        ("stall=1", "unknown fault"),
        ("delay", "unknown fault"),
        ("delay=soon", "number of seconds"),
        ("delay=-1", "number of seconds"),
        ("delay=nan", "number of seconds"),
        ("delay=inf", "number of seconds"),
        ("drop=-1", "whole number"),
        ("drop=1.5", "whole number"),
        ("drop=\u0661", "whole number"),
        ("drop=9999999999", "whole number"),
        ("close=1005", "close code is"),
        ("close=1006", "close code is"),
        ("close=1015", "close code is"),
        ("close=999", "close code is"),
        ("refuse=101", "HTTP status"),
        ("refuse=600", "HTTP status"),
        ("error=", "small letters"),
        ("error=Not Good", "small letters"),
        ("error=" + "x" * 65, "small letters"),
    ],
)
def test_a_wrong_fault_is_explained(text: str, part: str) -> None:
    """A wrong text raises ValueError that names what is allowed."""
    with pytest.raises(ValueError, match="fault") as caught:
        parse_fault(text)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("code", "reason", "close"),
    [
        ("invalid_api_key", "invalid_request_error.invalid_api_key", 3000),
        ("beta_api_shape_disabled", "invalid_request_error.beta_api_shape_disabled", 4000),
        ("model_not_found", "invalid_request_error.model_not_found", 4004),
        ("credit_balance_exhausted", "insufficient_quota.credit_balance_exhausted", 1013),
        ("something_new", "invalid_request_error.something_new", 4000),
    ],
)
def test_a_fatal_error_has_the_close_that_belongs_to_it(code: str, reason: str, close: int) -> None:
    """The close code and the reason are those that the provider gives for the code."""
    refusal = fatal_error(code)
    assert (refusal.close_reason, refusal.close_code) == (reason, close)
    assert len(fatal_error("x" * 64).close_reason) <= 123
