"""What `manage.py check --deploy` and `migrate` find besides Django's own checks."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning

from annotation.health import unsafe_settings


@register(Tags.security, deploy=True)
def broker_is_guarded(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Whoever reaches the broker can start jobs and read their ids."""
    broker = urlsplit(settings.CELERY_BROKER_URL)
    on_this_machine = broker.hostname in (None, *settings.LOOPBACK_NAMES)
    if broker.password or broker.scheme in ("redis+socket", "unix"):
        return []
    place = "on this machine" if on_this_machine else f"at {broker.hostname}"
    return [
        CheckWarning(
            f"The broker {place} needs no password.",
            hint="Set `requirepass` there and REDIS_URL=redis://:PASSWORD@HOST/0.",
            id="rankwell.W001",
        )
    ]


@register(Tags.database)
def commits_are_durable(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> Sequence[CheckMessage]:
    """`migrate` refuses a database that could lose a ranking it acknowledged."""
    if not databases:
        return []
    return [
        Error(
            f"Postgres runs with {name} off: it may lose rankings that it confirmed.",
            hint=f"Set {name} = on in postgresql.conf.",
            id="rankwell.E001",
        )
        for name in unsafe_settings()
    ]
