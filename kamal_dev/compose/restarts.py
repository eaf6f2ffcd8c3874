"""What restarts a service that sets no restart policy of its own: `restart` of config/dev.yml. Applies none.

The engine gets the policy once the service has come up (host/restarts.sh): while it is
observed, a crash is a failure and not one restart of many, and what ends with 0 has completed.
So the overlay names the policy by a key that Compose does not read.
"""

from __future__ import annotations

from kamal_dev.compose.service import Service
from kamal_dev.compose.value import Value

KEY = "x-restart"
NEVER = "no"


def policy(service: Service, value: Value, wanted: str) -> str:
    """Return the policy that a service gets; nothing where its compose file sets one, or it is to end."""
    deploy = value.at("deploy")
    is_set = "restart" in value.items or (deploy is not None and "restart_policy" in deploy.items)
    return "" if is_set or service.is_one_shot else wanted
