"""The fixtures of the gateway's tests serve here too."""

from tests.gateway.conftest import client, dynamodb

__all__ = ["client", "dynamodb"]
