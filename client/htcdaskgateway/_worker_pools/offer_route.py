"""`GatewayWithProfiles`: dask-gateway's client, which also asks what the site offers to its user.

The base class of `HTCGateway`. Adds `profiles()`, and the refusal of workers that the operator would refuse,
before their cluster or pool is made. A gateway that does not say, or does not answer this question, changes
nothing: the operator decides, as it does in any case.
"""

import asyncio
import json
import logging
import warnings
from typing import Any, Final

import aiohttp
from dask_gateway import Gateway, GatewayClusterError, GatewayServerError, GatewayWarning
from pydantic import ValidationError

from htcdask_api import Template
from htcdaskgateway._answers import is_unknown
from htcdaskgateway._errors import PoolRefusedError
from htcdaskgateway._worker_pools import refusals
from htcdaskgateway._worker_pools.profiles import Offer, Profiles
from htcdaskgateway._worker_pools.submission import Submission

_log = logging.getLogger(__name__)

_SECONDS: Final = 10.0
NOT_SAID: Final = (
    "this gateway does not say; its extension for HTCondor workers is older than this, or missing"
)
NOT_UNDERSTOOD: Final = "what the gateway says is not understood; it may be newer than this htcdask"


class GatewayWithProfiles(Gateway):  # type: ignore[misc]
    """A gateway whose site has names for kinds of workers."""

    def profiles(self) -> Any:
        """The site's profiles, for `new_cluster(profile=...)`, and its limits.

        The answer prints as text, shows as a table in a notebook, and is data by `.to_dict()` (to be awaited
        if asynchronous).
        """
        return self.sync(self._profiles)

    async def _profiles(self) -> Profiles:
        try:
            text = await asyncio.wait_for(self._ask_for_profiles(), _SECONDS)
        except asyncio.TimeoutError:  # another one than Python's own before 3.11
            raise TimeoutError(f"the gateway did not say within {_SECONDS:.0f} s what it offers") from None
        except ValueError as error:
            if is_unknown(error):
                return Profiles(None, NOT_SAID)
            raise
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return Profiles(None, NOT_UNDERSTOOD)
        if not isinstance(said, dict) or "offer" not in said:
            return Profiles(None, NOT_SAID)
        if said["offer"] is None:
            return Profiles(None, str(said.get("why")))
        try:
            return Profiles(Offer.model_validate(said["offer"]))
        except ValidationError:
            return Profiles(None, NOT_UNDERSTOOD)

    async def _ask_for_profiles(self) -> str:
        response = await self._request("GET", f"{self.address}/api/v1/htcondor")
        text: str = await response.text()
        return text

    async def _refuse_early(self, submission: Submission) -> None:
        """PoolRefusedError for what the operator would refuse, as far as the gateway says so.

        A GatewayWarning says if the image of the configuration or the options is not the workers'.
        """
        if not submission.is_htcondor:
            return
        offer = await self._refuse_workers(submission.template)
        said = offer and refusals.other_image(submission.image, submission.template, offer)
        if said:
            warnings.warn(GatewayWarning(said), stacklevel=2)

    async def _refuse_workers(self, template: Template) -> Offer | None:
        """What the gateway says that the site offers, if it does; PoolRefusedError if not such workers."""
        try:
            offer = (await self._profiles()).offer
        except (OSError, ValueError, GatewayClusterError, GatewayServerError, aiohttp.ClientError):
            _log.debug("The gateway did not say what the site offers", exc_info=True)
            return None
        wrong = None if offer is None else refusals.complaint(template, offer)
        if wrong is not None:
            raise PoolRefusedError(f"{wrong}. Nothing was made; gateway.profiles() shows what there is.")
        return offer
