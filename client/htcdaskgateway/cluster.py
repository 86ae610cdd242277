"""`HTCGatewayCluster`, where the older clients have it."""

from htcdaskgateway._client import HTCGatewayCluster

__all__ = ["HTCGatewayCluster"]
