"""Operators' permissions, in addition to Django's own. The command ``migrate`` creates them."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.db import router
from django.db.models.signals import post_migrate
from django.dispatch import receiver

from ..models import Event

VIEW_PAYLOAD = "view_payload"
REPLAY = "replay_event"
RESOLVE = "resolve_event"
ERASE = "erase_event"
#: The name of each permission where it is granted.
PERMISSIONS = {
    VIEW_PAYLOAD: "Can view payloads of payment webhooks",
    REPLAY: "Can replay events and run them dry",
    RESOLVE: "Can mark events as handled by hand, close conflicts and acknowledge causes",
    ERASE: "Can erase orders",
}


def may(user: Any, name: str) -> bool:
    """Return whether a user has one of the permissions."""
    return bool(user.has_perm(f"{Event._meta.app_label}.{name}"))


def require(user: Any, name: str) -> None:
    """Raise ``PermissionDenied`` if a user lacks one of the permissions."""
    if not may(user, name):
        raise PermissionDenied


@receiver(post_migrate, dispatch_uid="payment_webhooks.create_permissions")
def create_permissions(app_config: Any, using: str, **_: Any) -> None:
    """Create the missing permissions, in the database of the project's permissions.

    Not as an option of the model, as every change of a text would then be a migration.
    """
    if app_config.label != Event._meta.app_label or not apps.is_installed("django.contrib.auth"):
        return
    permission: Any = apps.get_model("auth", "Permission")
    if not router.allow_migrate_model(using, permission):
        return
    types: Any = apps.get_model("contenttypes", "ContentType")
    content_type = types.objects.db_manager(using).get_for_model(Event)
    for codename, name in PERMISSIONS.items():
        permission.objects.using(using).get_or_create(
            content_type=content_type, codename=codename, defaults={"name": name}
        )
