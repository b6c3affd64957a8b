"""What an operator may set: one frozen `Settings`, read once from the mappings it is given."""

from p402.settings.kinds import Secret, is_loopback
from p402.settings.model import (
    SERVER_LIMITS,
    KeySettings,
    ModelSettings,
    PolicySettings,
    ProviderSettings,
    ServerSettings,
    Settings,
    TenantSettings,
)
from p402.settings.read import read_settings
from p402.settings.table import settings_table

__all__ = [
    "SERVER_LIMITS",
    "KeySettings",
    "ModelSettings",
    "PolicySettings",
    "ProviderSettings",
    "Secret",
    "ServerSettings",
    "Settings",
    "TenantSettings",
    "is_loopback",
    "read_settings",
    "settings_table",
]
