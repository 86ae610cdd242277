"""What a user reads where a question fails: the gateway's own words, or those of the Kubernetes API.

Used by `htcdask_gateway`, `htcdask_logs` and `htcdask_heartbeats`, and pasted beside them into the API
server's configuration.
"""

import json
import re

from aiohttp import web
from kubernetes_asyncio.client.rest import ApiException

ANSWERS = (web.HTTPNotFound, web.HTTPConflict, web.HTTPUnprocessableEntity, web.HTTPInternalServerError)
NOISE = re.compile(r'Invalid value: "(string|object|array)": |\S+ in body |.* strict decoding error: ')


def error(status: int, message: str) -> web.HTTPError:
    kind = next(answer for answer in ANSWERS if answer.status_code == status)
    return kind(reason=" ".join(message.split()))  # aiohttp refuses a reason with line breaks


def is_gone(exc: ApiException, name: str) -> bool:
    """Whether the object is not there; of a kind that is not there, and in a proxy's 404, nobody names it."""
    try:
        return exc.status == 404 and bool(json.loads(exc.body or "")["details"]["name"] == name)
    except (KeyError, TypeError, ValueError):
        return False


def from_kubernetes(exc: ApiException) -> web.HTTPError:
    """The API server's refusal, for the user if it is about what they wrote, else for the site's admin."""
    try:
        status = json.loads(exc.body or "")
        causes = [c for c in (status.get("details") or {}).get("causes") or () if c["field"] != "<nil>"]
        message = "; ".join(f"{c['field']}: {NOISE.sub('', c['message'])}" for c in causes)
        message = message or NOISE.sub("", status["message"])
    except (ValueError, KeyError, AttributeError):  # not an API object: such as a kind that is not there
        status, message = {}, str(exc.reason)
    if status and exc.status in (400, 404, 409, 422):
        return error(422 if exc.status == 400 else exc.status, message)
    hint = "Tell the site's admin: is the htcdask chart installed, with its role for the gateway?"
    return error(500, f"Kubernetes refused what the gateway asked for ({exc.status}: {message}). {hint}")
