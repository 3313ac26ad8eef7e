"""A user signs in once, and again when the token ends or is refused."""

from __future__ import annotations

from contextlib import closing
from urllib.parse import parse_qs

import pytest

from sandbox.device.errors import ProtocolError, SignInError, UnavailableError
from sandbox.device.sign_in import PasswordSignIn
from tests.sandbox.device.scripted import Answer, json_answer

TOKEN = "POST /contoso/oauth2/v2.0/token"


def granted(number):
    return json_answer({"access_token": f"token{number}", "expires_in": 3600})


@pytest.fixture
def clock() -> list[float]:
    """The time, in its only element."""
    return [0.0]


@pytest.fixture
def sign_in(service, clock):
    service.answer(TOKEN, granted(1), granted(2))
    with closing(
        PasswordSignIn(
            authority=f"{service.url}/contoso/v2.0",
            username="ada@contoso.example",
            password="sandbox",
            scope="api://waystation/.default",
            clock=lambda: clock[0],
        )
    ) as ready:
        yield ready


def test_name_password_and_scope_are_exchanged_for_a_token(service, sign_in):
    token = sign_in()

    form = parse_qs(service.requests(TOKEN)[0].body.decode())
    assert token == "token1"
    assert form == {
        "grant_type": ["password"],
        "client_id": ["waystation-device"],
        "username": ["ada@contoso.example"],
        "password": ["sandbox"],
        "scope": ["api://waystation/.default"],
    }


def test_a_token_is_used_until_shortly_before_its_end(sign_in, clock):
    tokens = [sign_in()]
    for clock[0] in (3500, 3541):
        tokens.append(sign_in())

    assert tokens == ["token1", "token1", "token2"]


def test_a_forgotten_token_is_not_used_again(sign_in):
    first = sign_in()
    sign_in.forget()

    assert (first, sign_in()) == ("token1", "token2")


def test_a_wrong_password_is_said_in_one_line(service, sign_in):
    refusal = {
        "error": "invalid_grant",
        "error_description": "AADSTS50126: Wrong name or password.\r\nTrace ID: 1",
    }
    service.answer(TOKEN, json_answer(refusal, status=400))

    with pytest.raises(SignInError) as caught:
        sign_in()

    assert str(caught.value) == (
        "Sign-in was refused: AADSTS50126: Wrong name or password."
    )


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(json_answer({}, status=503), UnavailableError, id="down"),
        pytest.param(json_answer({}), ProtocolError, id="no token"),
        pytest.param(Answer(body=b"<html>"), ProtocolError, id="HTML"),
    ],
)
def test_an_issuer_that_does_not_answer_properly_is_reported(
    service, sign_in, answer, error
):
    service.answer(TOKEN, answer)

    with pytest.raises(error):
        sign_in()
