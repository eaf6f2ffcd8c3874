"""The restart policy of services that set none: `restart` of config/dev.yml. Applies none.

The engine gets the policy once the service has come up (host/restarts.sh): until then a crash has to be a failure,
not one restart of many, and a service that ends with 0 has completed. So the overlay names the policy under a key
that Compose ignores.
"""

from __future__ import annotations

from kamal_dev.compose.service import Service
from kamal_dev.compose.value import Value

KEY = "x-restart"
NEVER = "no"


def policy(service: Service, value: Value, wanted: str) -> str:
    """Return the policy that a service gets; empty if its compose file sets one, or if it is meant to end."""
    deploy = value.at("deploy")
    is_set = "restart" in value.items or (deploy is not None and "restart_policy" in deploy.items)
    return "" if is_set or service.is_one_shot else wanted
