"""Guessing passwords is slowed down: failures count per account and per address."""

import ipaddress
from datetime import timedelta
from typing import Any, Final

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

# Wrong passwords from one address, whatever the accounts, within the cool-off: above
# what an office behind one address mistypes, far below what guessing needs.
MOST_FAILURES_PER_ADDRESS: Final = 50


def client_address(request: HttpRequest) -> str | None:
    """The address a request came from; None where the server knows none.

    X-Forwarded-For counts only behind a proxy of ours, which appends to it: the last
    entry is what the proxy saw, the others are what the client claims.
    """
    seen = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_PROXY:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
        seen = forwarded.rpartition(",")[2].strip() or seen
    try:
        address = ipaddress.ip_address(seen)
    except ValueError:
        return None
    # A server that listens on both families sees ::ffff:192.0.2.1 for 192.0.2.1.
    return str(getattr(address, "ipv4_mapped", None) or address)


def counted_address(request: HttpRequest) -> str | None:
    """The address that failures are counted under: of IPv6 the /64 network, since
    one customer has 2^64 addresses to try from."""
    address = client_address(request)
    if address is None or ipaddress.ip_address(address).version == 4:
        return address
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)


def attempted_email(
    request: HttpRequest | None, credentials: dict[str, str] | None = None
) -> str:
    """The address that a throttled sign-in was tried with."""
    given = credentials or {}
    email = given.get("email") or given.get("username")
    if not email and request is not None:
        email = request.POST.get("login", "")
    return (email or "").strip().lower()


def take_turns(address: str | None) -> None:
    """Wait until this transaction is the only one that weighs a guess from there (an
    advisory lock)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"sign-in from {address}"],
        )


class FailureCounter(AxesDatabaseHandler):  # type: ignore[misc]  # axes has no types
    """Counts wrong passwords per account and address, and per address."""

    def is_locked(self, request: HttpRequest, credentials: Any = None) -> bool:
        """Five for one account from one address, or fifty from one address."""
        if super().is_locked(request, credentials):
            return True
        failures = self._from_the_same_address(request).aggregate(
            total=Sum("failures_since_start")
        )
        return (failures["total"] or 0) >= MOST_FAILURES_PER_ADDRESS

    def user_login_failed(
        self,
        sender: Any,
        credentials: Any,
        request: HttpRequest | None = None,
        **kwargs: Any,
    ) -> None:
        """Note a failure; a NUL in the browser's name must not make it unwritable."""
        if request is not None:
            agent = getattr(request, "axes_user_agent", "")
            request.axes_user_agent = agent.replace("\0", "")  # type: ignore[attr-defined]
        super().user_login_failed(sender, credentials, request, **kwargs)

    def _from_the_same_address(self, request: HttpRequest) -> QuerySet[Any]:
        attempts: QuerySet[Any] = AccessAttempt.objects.filter(
            ip_address=counted_address(request),
            attempt_time__gte=get_cool_off_threshold(request),
        )
        return attempts


def locked_out(
    request: HttpRequest, original: HttpResponse, credentials: Any = None
) -> HttpResponse:
    """What someone sees who gave too many wrong passwords: why, and until when."""
    cool_off = timedelta(hours=settings.AXES_COOLOFF_TIME)
    response = render(
        request,
        "account/locked_out.html",
        {"minutes": round(cool_off.total_seconds() / 60)},
        status=429,
    )
    response["Retry-After"] = str(round(cool_off.total_seconds()))
    return response
