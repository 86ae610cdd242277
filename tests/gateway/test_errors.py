"""What a user reads when the Kubernetes API refuses."""

import json

import pytest
from kubernetes_asyncio.client.rest import ApiException

from htcdask_errors import from_kubernetes

TELL = "Tell the site's admin: is the htcdask chart installed, with its role for the gateway?"


def refusal(status: int, reason: str, body: str) -> ApiException:
    error = ApiException(status=status, reason=reason)
    error.body = body.encode()
    return error


@pytest.mark.parametrize(
    ("status", "message", "causes", "shown"),
    [
        (
            422,
            "all of it",
            [{"field": "spec.a", "message": 'Invalid value: "object": b'}],
            (422, "spec.a: b"),
        ),
        (422, "all of it", [{"field": "<nil>", "message": "not all checked"}], (422, "all of it")),
        (422, "two\nlines", [], (422, "two lines")),
        (400, 'X cannot be: strict decoding error: unknown field "a"', [], (422, 'unknown field "a"')),
        (404, 'htcworkerpools "a" not found', [], (404, 'htcworkerpools "a" not found')),
        (409, "the object has been modified", [], (409, "the object has been modified")),
        (403, "no", [], (500, f"Kubernetes refused what the gateway asked for (403: no). {TELL}")),
        (503, "no", [], (500, f"Kubernetes refused what the gateway asked for (503: no). {TELL}")),
    ],
)
def test_of_an_api_object(
    status: int, message: str, causes: list[dict[str, str]], shown: tuple[int, str]
) -> None:
    body = json.dumps({"kind": "Status", "message": message, "details": {"causes": causes}})
    error = from_kubernetes(refusal(status, "Reason", body))
    assert (error.status, error.reason) == shown


@pytest.mark.parametrize("body", ["404 page not found", "", "[]", "null", "{}"])
def test_of_something_else_such_as_a_missing_crd(body: str) -> None:
    error = from_kubernetes(refusal(404, "Not Found", body))
    assert error.status == 500
    assert error.reason == f"Kubernetes refused what the gateway asked for (404: Not Found). {TELL}"
