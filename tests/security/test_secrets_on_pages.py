"""S13: no page of anybody's shows a password's hash, a token or a code."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import generate_totp_secret
from django.apps import apps
from django.urls import reverse
from knox.models import AuthToken

from annotation.accounts import make_sign_in_link
from annotation.models import SignInLink, User
from annotation.second_factor import turn_on
from tests.conftest import browser_of, make_project
from tests.security.test_secrets_in_the_database import READABLE
from tests.test_access_matrix import ACTORS, ROWS, Cast, finish, make_cast

pytestmark = pytest.mark.django_db


def secrets_of(user: User) -> list[str]:
    """All that is kept of them which lets somebody in, or nearly."""
    user.set_password("a quite long password")
    user.save()
    make_sign_in_link(user)
    token, _ = AuthToken.objects.create(user=user)
    turn_on(user, secret=generate_totp_secret(), but=None)
    kept = [user.password, token.digest, SignInLink.objects.get(user=user).token_sha256]
    for authenticator in Authenticator.objects.filter(user=user):
        kept += [v for v in authenticator.data.values() if isinstance(v, str)]
        if authenticator.type == Authenticator.Type.RECOVERY_CODES:
            kept += authenticator.wrap().get_unused_codes()
    return kept


@pytest.fixture(scope="module")
def known(stored_for_this_file: None) -> tuple[Cast, list[str]]:
    """The cast, and all that would let somebody in as one of them."""
    cast = make_cast(make_project())
    people = [user for actor in ACTORS if (user := cast.user(actor))]
    secrets = [secret for user in people for secret in secrets_of(user)]
    assert len(secrets) >= 15 * len(people)
    return cast, secrets


@pytest.mark.parametrize("name", READABLE)
def test_no_page_shows_a_hash_a_token_or_a_code(
    known: tuple[Cast, list[str]], name: str
) -> None:
    """Neither of others nor one's own, whoever looks."""
    cast, secrets = known
    address = reverse(name, kwargs=dict(ROWS[name].points_at(cast)))
    for actor in ACTORS:
        response = browser_of(cast.user(actor)).get(address)
        page = b"".join(response) if response.streaming else response.content
        assert [one for one in secrets if one.encode() in page] == [], actor
        finish(response)


def test_there_is_no_ready_made_admin_whose_rights_could_be_too_wide() -> None:
    """Accounts are changed by the pages of this site alone, and it has no staff."""
    assert not apps.is_installed("django.contrib.admin")
    fields = {field.name for field in User._meta.get_fields()}
    assert fields.isdisjoint({"is_staff", "is_superuser", "user_permissions", "groups"})
