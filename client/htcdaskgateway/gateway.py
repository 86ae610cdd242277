"""`HTCGateway`, where the older clients have it."""

from htcdaskgateway._client import HTCGateway, HTCGatewayCluster

__all__ = ["HTCGateway", "HTCGatewayCluster"]
