"""The client's errors are dask-gateway's own, so that code written for it keeps working."""

import dask_gateway

import htcdaskgateway


def test_the_errors_are_dask_gateways_own() -> None:
    assert issubclass(htcdaskgateway.HTCDaskError, dask_gateway.GatewayClusterError)
    assert issubclass(htcdaskgateway.PoolRefusedError, ValueError)
