"""S12, S14, S19 and S20: fields nobody offered, hosts nobody configured, and
redirects that would lead away."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest
from django import forms
from django.core import mail
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken
from pytest_django.fixtures import Settings
from rest_framework import serializers

import annotation
import ranking
import rm_training
from annotation.accounts import LETTERS
from annotation.models import Membership, Project, Role, User
from tests.conftest import make_member

pytestmark = pytest.mark.django_db
PASSWORD = "a quite long password"

# Who one is, whose something is, and how it stands: never taken from a form.
NEVER_ASKED = {
    *("is_staff", "is_superuser", "is_site_admin", "is_active", "user", "user_id"),
    *("project", "project_id", "membership", "labeler", "labeler_id", "created_by"),
    *("created_at", "status", "state", "attempt", "lease_owner", "lease_until"),
    *("worker", "score", "rewards", "pseudonym_key", "token", "token_sha256", "seq"),
    *("submitted_at", "stored_at", "content_sha256", "manifest_sha256", "in_use"),
}


# Fields that choose among what is there, and set nothing.
FILTERS = {"FreezeBody": {"labeler"}}


def modules_with_forms() -> list[ModuleType]:
    """Modules of ours that define forms or serializers; others may load torch."""
    found = []
    for room in (annotation, ranking, rm_training):
        for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
            spec = importlib.util.find_spec(module.name)
            assert spec is not None
            if spec.origin and spec.has_location and not module.ispkg:
                text = Path(spec.origin).read_text()
                if "import forms" in text or "serializers" in text:
                    found.append(importlib.import_module(module.name))
    return found


def writers() -> list[type]:
    """Every form and serializer of ours."""
    return [
        thing
        for module in modules_with_forms()
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, forms.BaseForm | serializers.BaseSerializer)
        and thing.__module__ == module.__name__
    ]


def test_there_are_forms() -> None:
    assert "NewMember" in {writer.__name__ for writer in writers()}


@pytest.mark.parametrize("writer", writers(), ids=lambda writer: writer.__name__)
def test_no_form_asks_for_what_nobody_may_choose(writer: type) -> None:
    fields = getattr(writer, "base_fields", None) or getattr(
        writer, "_declared_fields", {}
    )
    writable = {
        name for name, field in fields.items() if not getattr(field, "read_only", False)
    }
    assert writable & NEVER_ASKED == FILTERS.get(writer.__name__, set())
    meta = getattr(writer, "Meta", None)
    assert getattr(meta, "fields", ()) != "__all__"
    assert not getattr(meta, "exclude", None)


def test_fields_that_no_form_offers_are_ignored(admin: Membership) -> None:
    browser = Client()
    assert admin.user is not None
    browser.force_login(
        admin.user, "allauth.account.auth_backends.AuthenticationBackend"
    )
    other = Project.objects.create(slug="other", title="Other")
    browser.post(
        reverse("add_member", args=[admin.project.slug]),
        {
            "email": "carol@example.org",
            "name": "Carol",
            "role": "labeler",
            "project": other.pk,
            "project_id": other.pk,
            "user": admin.user.pk,
            "is_site_admin": "on",
            "is_staff": "on",
            "is_superuser": "on",
            "is_active": "",
            "created_at": "2001-01-01",
        },
    )
    carol = Membership.objects.get(name="Carol")
    assert carol.project == admin.project
    assert carol.role == Role.LABELER
    assert carol.created_at.year > 2001
    assert carol.user is not None
    assert carol.user != admin.user
    assert carol.user.is_active
    assert not carol.user.is_site_admin


def test_after_migrate_there_is_nobody_and_no_key() -> None:
    assert not User.objects.exists()
    assert not AuthToken.objects.exists()


# --- Redirects --------------------------------------------------------------------

AWAY = [
    "//evil.example.org",
    "/\\evil.example.org",
    "https:evil.example.org",
    "https://evil.example.org/",
    "http:///evil.example.org",
    "///evil.example.org",
    "javascript:alert(1)",
    "\tjavascript:alert(1)",
    "/\r\nSet-Cookie: planted=1",
    "https://testserver@evil.example.org/",
    "ftp://testserver/",
]


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada@example.org", PASSWORD)


@pytest.mark.parametrize("target", AWAY)
def test_signing_in_never_leads_away(ada: User, target: str) -> None:
    form = {"login": ada.email, "password": PASSWORD, "next": target}
    response = Client().post(reverse("account_login"), form)
    assert response.status_code == 302
    assert response["Location"] == reverse("home")
    assert "planted" not in response.cookies


@pytest.mark.parametrize("name", ["account_login", "account_logout"])
@pytest.mark.parametrize("target", AWAY)
def test_neither_does_a_page_of_somebody_signed_in(
    ada: User, target: str, name: str
) -> None:
    browser = Client()
    browser.force_login(ada, "allauth.account.auth_backends.AuthenticationBackend")
    response = browser.post(reverse(name), query_params={"next": target})
    assert response.status_code == 302
    assert response["Location"].startswith("/")
    assert not response["Location"].startswith(("//", "/\\"))
    assert "evil" not in response["Location"]
    assert "planted" not in response.cookies


def test_signing_in_leads_to_the_page_that_was_asked_for(ada: User) -> None:
    project = Project.objects.create(slug="tides", title="Tides")
    make_member(project, "ada", Role.ADMIN)
    browser = Client()
    asked = browser.get(reverse("members", args=["tides"]))
    form = {"login": ada.email, "password": PASSWORD}
    response = browser.post(asked["Location"], form)
    assert response["Location"] == reverse("members", args=["tides"])


# --- Hosts ------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.example.org", "a b"])
def test_a_host_that_nobody_configured_is_refused(host: str) -> None:
    assert Client().get("/livez", HTTP_HOST=host).status_code == 400


def test_a_forwarded_host_is_not_believed() -> None:
    response = Client().get("/", HTTP_X_FORWARDED_HOST="evil.example.org")
    assert "evil" not in response["Location"]


def test_the_link_in_a_letter_has_the_configured_host(
    ada: User, settings: Settings
) -> None:
    settings.EMAIL_URL = "smtp://127.0.0.1"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.ALLOWED_HOSTS = ["also-ours.example.org"]
    mail.outbox = []
    Client(HTTP_HOST="also-ours.example.org").post(
        reverse("account_reset_password"), {"email": ada.email}
    )
    assert LETTERS.submit(bool).result() is False  # one after the other, on a thread
    [letter] = mail.outbox
    assert f"{settings.SITE_URL}/accounts/password/reset/key/" in str(letter.body)
    assert "also-ours" not in f"{letter.subject} {letter.body}"
