"""The second factor: codes of an authenticator app, and recovery codes for when it is
lost. Who has none is asked for none.

allauth keeps the secrets and asks for a code at sign-in. What it counts in a process'
memory is counted here in the database, under a lock: wrong codes and codes used before.
"""

from datetime import datetime, timedelta
from typing import Any

from allauth.core import context
from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from annotation.models import User
from annotation.sessions import end_sessions

# Of a million codes three are right at any time, so who tries for a day finds one with
# a chance of 480 · 3 / 1,000,000.
MOST_FAILURES = 5
COOL_OFF = timedelta(minutes=15)


class TooManyCodesError(Exception):
    """Too many wrong codes: none is looked at for a while."""


class AppNamedAfterSite(DefaultMFAAdapter):  # type: ignore[misc]  # no types
    """What authenticator apps show."""

    def get_totp_issuer(self) -> str:
        """The site, as people with several know it."""
        return f"Rankwell {context.request.get_host()}"


# --- Having one -------------------------------------------------------------------


def has_second_factor(user: User) -> bool:
    """Whether signing in takes a code. One query."""
    return bool(_app_of(user).exists())


def turn_on(user: User, *, secret: str, but: str | None) -> list[str]:
    """From now on signing in takes a code; the recovery codes, to be shown once.

    Sessions that began without one end, but that with the key `but`.

    Errors: IntegrityError when it is on already: the constraint
    unique_authenticator_type lets one of two simultaneous calls through.
    """
    with transaction.atomic():
        TOTP.activate(user, secret)
        end_sessions(user, but=but)
        return new_recovery_codes(user)


def new_recovery_codes(user: User) -> list[str]:
    """Ten codes, each good for one sign-in; earlier ones end."""
    with transaction.atomic():
        # Two calls: one after the other.
        list(_app_of(user).select_for_update(no_key=True, of=("self",)))
        kind = Authenticator.Type.RECOVERY_CODES
        Authenticator.objects.filter(user=user, type=kind).delete()
        codes: list[str] = RecoveryCodes.activate(user).get_unused_codes()
        return codes


def recovery_codes_left(user: User) -> int:
    """How many of them were not used. One query."""
    found = Authenticator.objects.filter(
        user=user, type=Authenticator.Type.RECOVERY_CODES
    ).first()
    return len(found.wrap().get_unused_codes()) if found else 0


def turn_off(user: User) -> bool:
    """Signing in takes no code any more; False if it took none."""
    removed, _ = Authenticator.objects.filter(user=user).delete()
    return bool(removed)


# --- Asking for it ----------------------------------------------------------------


def check_code(user: User, code: str) -> Authenticator | None:
    """The app or the recovery codes that `code` is of; None for a wrong one.

    1. The app's row is locked, so guesses that come at once are counted one by one.
    2. Who gave five wrong codes waits, whatever they give, until 15 minutes after the
       last of them.
    3. A code of the app is good once: later only codes of later half minutes are.
    4. A failure is counted in the same row, and committed by returning.

    Errors: TooManyCodesError.
    """
    with transaction.atomic():
        app = _app_of(user).select_for_update(no_key=True, of=("self",)).first()
        if app is None:
            return None
        if _is_closed(app.data):
            raise TooManyCodesError
        found = _matching(app, code)
        app.data |= _reset() if found else _counted(app.data)
        app.save(update_fields=["data"])
        return found


def _app_of(user: User) -> Any:
    return Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP)


def _matching(app: Authenticator, code: str) -> Authenticator | None:
    secret = get_adapter().decrypt(app.data["secret"])
    for step in yield_hotp_counters_from_time():
        right = format_hotp_value(hotp_value(secret, step))
        if step > app.data.get("last_step", 0) and compare_user_code(
            actual=code, expected=right
        ):
            app.data["last_step"] = step
            return app
    codes = Authenticator.objects.filter(
        user=app.user_id, type=Authenticator.Type.RECOVERY_CODES
    ).first()
    return codes if codes and codes.wrap().validate_code(code) else None


def _is_closed(data: dict[str, Any]) -> bool:
    return data.get("failures", 0) >= MOST_FAILURES and _is_recent(data)


def _is_recent(data: dict[str, Any]) -> bool:
    last = data.get("failed_at")
    return last is not None and timezone.now() - datetime.fromisoformat(last) < COOL_OFF


def _counted(data: dict[str, Any]) -> dict[str, Any]:
    earlier = data.get("failures", 0) if _is_recent(data) else 0
    return {"failures": earlier + 1, "failed_at": timezone.now().isoformat()}


def _reset() -> dict[str, Any]:
    return {"failures": 0, "failed_at": None}


class _CountedCode:
    """A form's code, looked at by `check_code` instead of allauth."""

    user: User
    cleaned_data: dict[str, Any]

    def clean_code(self) -> str:
        """Errors: ValidationError, which says what to do."""
        code = str(self.cleaned_data["code"])
        try:
            self.authenticator = check_code(self.user, code)
        except TooManyCodesError as error:
            raise ValidationError(
                "Too many wrong codes. Wait 15 minutes after the last one; trying"
                " earlier does not make it longer."
            ) from error
        if self.authenticator is None:
            raise ValidationError(
                "That code is not right, or was used before. Wait for the next one, and"
                " see that the clock of your phone is right."
            )
        self.authenticator.user = self.user
        return code


class CodeForm(_CountedCode, AuthenticateForm):  # type: ignore[misc]  # no types
    """The code at sign-in."""


class CodeAgainForm(_CountedCode, ReauthenticateForm):  # type: ignore[misc]  # no types
    """The code before a change of the second factor."""
