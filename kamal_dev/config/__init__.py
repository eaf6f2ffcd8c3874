"""Turn config/dev.yml and .kamal/secrets into values. Opens no file, reads no environment."""

from __future__ import annotations

from typing import Any

from kamal_dev.config.account import Credentials, credentials, missing_credentials, with_username
from kamal_dev.config.build_cache import Cache
from kamal_dev.config.images import PLACEHOLDER_SERVER, BuildConfig, ImageSettings, Registry
from kamal_dev.config.loading import Defaults, default, load, of_home, service_name
from kamal_dev.config.notify import notify_text
from kamal_dev.config.provider import PROVIDERS, ProviderConfig
from kamal_dev.config.reference import PLACEHOLDER_USER, image, tag
from kamal_dev.config.secrets import SecretsFile, how_to_set, not_set, parse_secrets
from kamal_dev.config.settings import MAX_COUNT, Config, Deploy, Limits, Ssh
from kamal_dev.config.template import fill_secrets, fill_template, guess_registry

__all__ = [
    "MAX_COUNT",
    "PLACEHOLDER_SERVER",
    "PLACEHOLDER_USER",
    "PROVIDERS",
    "BuildConfig",
    "Cache",
    "Config",
    "Credentials",
    "Defaults",
    "Deploy",
    "ImageSettings",
    "Limits",
    "ProviderConfig",
    "Registry",
    "SecretsFile",
    "Ssh",
    "credentials",
    "default",
    "fill_secrets",
    "fill_template",
    "guess_registry",
    "how_to_set",
    "image",
    "load",
    "missing_credentials",
    "not_set",
    "notify_text",
    "of_home",
    "parse_secrets",
    "schema",
    "schema_text",
    "service_name",
    "tag",
    "with_username",
]


def schema() -> dict[str, Any]:
    """Return the JSON Schema of config/dev.yml, which docs/dev.schema.json publishes."""
    from kamal_dev.config import jsonschema

    return jsonschema.schema()


def schema_text() -> str:
    """Return the schema as the text of its file."""
    from kamal_dev.config import jsonschema

    return jsonschema.schema_text()
