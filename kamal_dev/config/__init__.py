"""config/dev.yml and .kamal/secrets, from text to values. Opens no file, reads no environment."""

from kamal_dev.config.cache import Cache
from kamal_dev.config.credentials import Credentials, credentials, missing_credentials, with_username
from kamal_dev.config.document import decode
from kamal_dev.config.loading import Defaults, default, load, service_name
from kamal_dev.config.provider import PROVIDERS, ProviderConfig
from kamal_dev.config.reference import PLACEHOLDER_USER, image
from kamal_dev.config.secrets import SecretsFile, not_set, parse_secrets
from kamal_dev.config.settings import (
    MAX_COUNT,
    PLACEHOLDER_SERVER,
    BuildConfig,
    Config,
    Deploy,
    ImageConfig,
    Limits,
    Registry,
    Ssh,
)

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
    "ImageConfig",
    "Limits",
    "ProviderConfig",
    "Registry",
    "SecretsFile",
    "Ssh",
    "credentials",
    "decode",
    "default",
    "image",
    "load",
    "missing_credentials",
    "not_set",
    "parse_secrets",
    "service_name",
    "with_username",
]
