"""A labeler is forgotten: who they are and what they wrote go, ids and ranks stay.

This room's half. `ranking.takedown` is the whole of it.
"""

from typing import Final

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth.hashers import make_password
from django.db.models import CASCADE
from django.db.models.functions import Coalesce, Now

from annotation.models import Assignment, Membership, ProblemReport, Skip, User
from annotation.takedown import blank_reports, blank_skips, lock_rows, new_tokens

SIGN_IN_LOGS: Final = (AccessAttempt, AccessFailureLog, AccessLog)


def erase_labeler(labeler: Membership) -> bool:
    """Forget who this is; False if that was done before. Within a transaction.

    1. Lock the membership: no claim of theirs is under way, and none begins.
    2. Lock their rows: an answer under way is stored before this, and loses its words
       with the others, or finds its row under another token.
    3. The name becomes their pseudonym, which datasets have always called them by; the
       account is cut off, so their next request finds no project.
    4. What they wrote goes: why they skipped, what they reported.
    5. Unless the account opens something else, it is emptied: see `_erase_account`.
    """
    locked = Membership.objects.select_for_update(no_key=True, of=("self",))
    member = locked.select_related("project").get(pk=labeler.pk)
    if member.forgotten_at is not None:
        return False
    account = member.user
    new_tokens(lock_rows(Assignment.objects.filter(labeler=member)))
    Membership.objects.filter(pk=member.pk).update(
        name=f"Forgotten {member.project.pseudonym(member.pk)}",
        user=None,
        forgotten_at=Now(),
        paused_at=Coalesce("paused_at", Now()),
    )
    blank_skips(Skip.objects.filter(assignment__labeler=member))
    blank_reports(ProblemReport.objects.filter(reporter=member))
    if account is not None and not opens_more(account, than=member):
        _erase_account(account)
    return True


def opens_more(account: User, *, than: Membership) -> bool:
    """Whether somebody's account is for more than this one membership. One query.

    Then it is not this project's to empty.
    """
    others = Membership.objects.filter(user=account).exclude(pk=than.pk)
    return account.is_site_admin or others.exists()


def _erase_account(account: User) -> None:
    """Empty the account. Its row stays, for others name it (who changed what).

    Whatever belongs to an account and would go with it goes: sessions, so they are
    signed out at once; links, tokens, addresses, second factors. So do the notes that
    were taken of their failed sign-ins.
    """
    for log in SIGN_IN_LOGS:
        log.objects.filter(username__iexact=account.email).delete()
    for relation in User._meta.related_objects:
        if relation.on_delete is CASCADE:
            belongings = relation.related_model._default_manager
            belongings.filter(**{relation.field.name: account}).delete()
    User.objects.filter(pk=account.pk).update(
        email=f"forgotten-{account.pk}@forgotten.invalid",
        password=make_password(None),
        is_active=False,
        last_login=None,
        time_zone="UTC",
    )
