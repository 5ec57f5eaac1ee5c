"""Webhook signatures: published vectors, foreign signers, rotation, and what is refused."""

from __future__ import annotations

import base64
import hmac
import subprocess
from typing import Any

import msgspec
import pytest
import stripe
from slack_sdk.signature import SignatureVerifier

from triggers.http.verify import TOLERANCE, Unverified, Verify, check, identity_in

NOW = 1_531_420_618.0


def verify(scheme: str, headers: dict[str, str], raw: bytes, now: float = NOW, **secrets: str) -> str | None:
    names = list(secrets)
    options = msgspec.convert({scheme: names if len(names) > 1 else names[0]}, Verify)
    return check(options, headers, raw, now, lambda name: secrets[name])


def refused(*arguments: Any, **options: Any) -> None:
    with pytest.raises(Unverified):
        verify(*arguments, **options)


SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
    b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121"
    b".803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK = {
    "x-slack-request-timestamp": "1531420618",
    "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}


def test_slack_as_published_and_by_its_own_library() -> None:
    verify("slack", SLACK, SLACK_BODY, key=SLACK_SECRET)
    verify("slack", SLACK, SLACK_BODY, old="other", new=SLACK_SECRET)
    made = SignatureVerifier("another").generate_signature(timestamp="1531420618", body="a=b")
    assert made is not None
    verify("slack", SLACK | {"x-slack-signature": made}, b"a=b", key="another")
    refused("slack", SLACK, SLACK_BODY + b" ", key=SLACK_SECRET)
    refused("slack", SLACK, SLACK_BODY, key="other")
    refused("slack", SLACK, SLACK_BODY, now=NOW + TOLERANCE + 1, key=SLACK_SECRET)
    refused("slack", SLACK | {"x-slack-request-timestamp": "1531420617"}, SLACK_BODY, key=SLACK_SECRET)
    refused("slack", {}, SLACK_BODY, key=SLACK_SECRET)
    for stamp in ("", "-1", "1531420618.0", "١٥٣", "9" * 30):
        refused("slack", SLACK | {"x-slack-request-timestamp": stamp}, SLACK_BODY, key=SLACK_SECRET)


def test_github_as_published() -> None:
    """The example of GitHub's page on validating deliveries."""
    headers = {
        "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "x-github-delivery": "d-1",
    }
    assert verify("github", headers, b"Hello, World!", key="It's a Secret to Everybody") == "d-1"
    refused("github", headers, b"Hello, World?", key="It's a Secret to Everybody")


def test_stripe_by_its_own_library() -> None:
    body = b'{"id": "evt_1", "object": "event"}'
    signature = stripe.WebhookSignature._compute_signature(f"{int(NOW)}.{body.decode()}", "whsec_new")
    header = {"stripe-signature": f"t={int(NOW)},v1={'0' * 64},v1={signature},v0=abc"}
    assert stripe.WebhookSignature.verify_header(body.decode(), header["stripe-signature"], "whsec_new", None)
    verify("stripe", header, body, old="whsec_old", new="whsec_new")
    refused("stripe", header, body, key="whsec_old")
    refused("stripe", header, body + b"\n", key="whsec_new")
    refused("stripe", header, body, now=NOW - TOLERANCE - 1, key="whsec_new")
    for wrong in ("", f"t={int(NOW)}", f"v1={signature}", f"t={int(NOW)},v0={signature}", f"t=x,v1={signature}"):
        refused("stripe", {"stripe-signature": wrong}, body, key="whsec_new")
    assert identity_in("stripe", {"id": "evt_1"}) == "evt_1" and identity_in("slack", {"event_id": "Ev1"}) == "Ev1"
    assert identity_in("github", {"id": "x"}) is None and identity_in("stripe", [1]) is None


def test_shopify_beside_openssl() -> None:
    body = b'{"id":820982911946154508}'
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", "hush", "-binary"], input=body, capture_output=True, check=True
    )
    headers = {"x-shopify-hmac-sha256": base64.b64encode(done.stdout).decode(), "x-shopify-event-id": "e-1"}
    assert verify("shopify", headers, body, old="x", new="hush") == "e-1"
    refused("shopify", headers, body + b" ", key="hush")
    refused("shopify", {"x-shopify-hmac-sha256": done.stdout.hex()}, body, key="hush")


def test_standard_webhooks_as_published() -> None:
    """The vector of the specification's reference libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert verify("standard", headers, body, now=1614265330.0, key=secret) == headers["webhook-id"]
    refused("standard", headers, body, now=1614265330.0 + TOLERANCE + 1, key=secret)
    refused("standard", headers | {"webhook-id": "other"}, body, now=1614265330.0, key=secret)


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = hmac.compare_digest

    def counted(a: Any, b: Any) -> bool:
        seen.append(1)
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    verify("slack", SLACK, SLACK_BODY, a=SLACK_SECRET, b="two", c="three")
    assert len(seen) == 3, "all secrets are compared, whichever fits"
