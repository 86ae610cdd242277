"""`GatewayWithProfiles`: dask-gateway's client, which also asks what the site offers to its user.

The base class of `HTCGateway`. Adds `profiles()`, and the refusal of a cluster whose workers the operator
would refuse, before it is made. A gateway that does not say, or does not answer this question, changes
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
            if type(error) is ValueError:  # dask-gateway's word for a 404
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
        try:
            offer = (await self._profiles()).offer
        except (OSError, ValueError, GatewayClusterError, GatewayServerError, aiohttp.ClientError):
            _log.debug("The gateway did not say what the site offers", exc_info=True)
            return
        if offer is None:
            return
        wrong = refusals.complaint(submission.template, offer)
        if wrong is None:
            if said := refusals.other_image(submission.image, submission.template, offer):
                warnings.warn(GatewayWarning(said), stacklevel=2)
        else:
            raise PoolRefusedError(f"{wrong}. Nothing was made; gateway.profiles() shows what there is.")
