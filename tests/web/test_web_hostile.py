"""What a stranger, or a person with bad intentions, may send to the panel without getting anything for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from bouncer import vault
from web.context import MAX_FIELDS, STRANGERS_BYTES

if TYPE_CHECKING:
    from tests.web.panelkit import Browser, Installation

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        pytest.param(b"a&" * (MAX_FIELDS + 1), FORM, 400, id="fields"),
        pytest.param(b"name=" + b"x" * STRANGERS_BYTES, FORM, 413, id="large"),
        pytest.param(b"name=a-" + b"b99" * 5000, f"{FORM}; charset=punycode", 415, id="codec"),
        pytest.param(b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", 415, id="parts"),
    ],
)
async def test_reading_a_strangers_form_costs_next_to_nothing(
    anonymous: Browser, body: bytes, kind: str, status: int
) -> None:
    began = time.process_time()
    answer = await anonymous.request("POST", "/session", data=body, headers={"Content-Type": kind})
    assert answer.status == status
    assert time.process_time() - began < 0.5


async def test_what_the_vault_encrypted_elsewhere_is_not_opened_by_the_page_of_the_second_factor(
    installation: Installation, alice: Browser
) -> None:
    stolen = vault.encrypt("hunter2 of bob")
    answer = await alice.post("/account/totp", {"sealed": stolen, "code": "123456"})
    assert (answer.status, answer.location) == (303, "/account/totp")
    bob = await installation.user("bob")
    of_bob = vault.encrypt(f"totp {bob.id} JBSWY3DPEHPK3PXP")
    assert (await alice.post("/account/totp", {"sealed": of_bob, "code": "123456"})).status == 303
