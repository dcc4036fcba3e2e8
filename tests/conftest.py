"""The cast and the material of the tests.

alice and bob label in the project, researcher works in it, admin runs it; stranger
is signed in and belongs to another project.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker
from whitenoise.middleware import WhiteNoiseMiddleware

from annotation.accounts import account_of
from annotation.models import (
    Instructions,
    Membership,
    Project,
    Prompt,
    Response,
    Role,
    User,
)
from annotation.queue import open_slots
from annotation.sessions import SIGNED_IN_AT, SessionStore
from tests.browser import find_browser
from tests.emptying import empty_instead_of_truncating
from tests.loopback_only import sitecustomize as loopback_only
from tests.notebooks import sign
from tests.real_data import real_data

__all__ = ["real_data", "sign"]

# A window of the whole Chromium comes with two renderers more than its page needs, a
# spare one and that of its address bar: more than half of what a window costs. The
# others are Playwright's own, as the last switch of this name is the one that counts.
OFF: Final = ",".join(
    (
        *(
            "SpareRendererForSitePerProcess",
            "WebUIOmniboxPopup",
            "WebUIOmniboxAimPopup",
        ),
        *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose"),
        *("HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "LensOverlay"),
        *("MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning"),
        *("AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints", "AimEnabled"),
        *("NetworkTimeServiceQuerying", "PreconnectToSearch"),
    )
)

# For `make fuzz`: pytest --hypothesis-profile=long
hypothesis_settings.register_profile(
    "long", max_examples=300, stateful_step_count=50, print_blob=True, deadline=None
)


# The files that take longest, the longest first: begun last, one of them would keep one
# worker busy when the other has nothing left to do.
LONGEST: Final = (
    "test_stored_scripts_in_full.py",
    "test_huge_uploads.py",
    "test_all_pages_as_everybody.py",
    "test_whole_job_with_smollm2.py",
    "test_killed_run_workers.py",
    "test_three_months_of_work.py",
    "test_benchmarks_run.py",
    "test_demo.py",
    "test_lost_messages.py",
    "test_bad_input.py",
    "test_rank_page_in_every_window.py",
    "test_whole_job.py",
    "test_reading_aids.py",
    "test_names_are_kept.py",
    "test_all_pages.py",
    "test_rank_page_states.py",
    "test_rank_page_outbox.py",
    "test_embedded.py",
    "test_rate_then_rank.py",
    "test_rank_page_keys.py",
    "test_secrets_in_the_database.py",
    "test_pages.py",
    "test_access_matrix.py",
    "test_dashboard_pages.py",
    "test_stored_scripts.py",
    "test_rank_page_for_everybody.py",
)
RANK: Final = {name: place for place, name in enumerate(LONGEST)}


_static_files: dict[str, Any] = {}
_look_for_static_files = WhiteNoiseMiddleware.add_files_from_finders


def _static_files_found_once(served: Any) -> None:
    if not _static_files:
        others, served.files = served.files, _static_files
        _look_for_static_files(served)
        served.files = others
    served.files.update(_static_files)


# Each of thousands of test clients has middleware of its own, and each would look
# through all static files again. No test serves others from this process.
WhiteNoiseMiddleware.add_files_from_finders = _static_files_found_once


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first. A browser test that fails is tried once more, as a
    window may stand still on busy cores; what passed only then is named in the summary,
    to be looked into."""
    items.sort(key=lambda item: RANK.get(item.path.name, len(RANK)))
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(autouse=True)
def no_traffic_but_loopback() -> Iterator[None]:
    """A test that reaches for another machine fails, even if the error was caught."""
    yield
    tried, loopback_only.outside[:] = list(loopback_only.outside), []
    assert not tried, f"connections that left this machine: {tried}"


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made and not drawn, which takes a third of a second each: for tests
    that ask who gets an answer, or with which statements, and not what is on it."""
    monkeypatch.setattr("ranking.drawing.svg", lambda figure: b"<svg/>")


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """The test database goes at the end, also when a thread of a live server or a
    process that was killed holds a connection a moment longer."""
    empty_instead_of_truncating()
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture(scope="session")
def browser_type_launch_args(
    browser_type_launch_args: dict[str, Any],
) -> dict[str, Any]:
    """The installed Chromium; tests without one fail here, and are never skipped."""
    chromium = find_browser()
    if not chromium:
        pytest.fail("No browser: install Chromium, or name its path in CHROMIUM.")
    return browser_type_launch_args | {
        "executable_path": chromium,
        # The sandbox needs rights that a container's root does not have.
        "args": [
            "--no-sandbox",
            "--disable-dev-shm-usage",
            f"--disable-features={OFF}",
        ],
    }


def make_member(project: Project, name: str, role: Role) -> Membership:
    """Somebody with an account and a role."""
    user, _ = account_of(f"{name}@example.org")
    return Membership.objects.create(project=project, user=user, name=name, role=role)


def make_prompt(
    project: Project, external_id: str = "p1", *, k: int = 4, slots: int | None = None
) -> Prompt:
    """A prompt with K responses and its open slots (as its overlap, or `slots`)."""
    prompt = Prompt.objects.create(
        project=project,
        external_id=external_id,
        messages=[{"role": "user", "content": f"Question {external_id}?"}],
        line_sha256="0" * 64,
        overlap=slots or project.overlap,
    )
    for number in range(1, k + 1):
        Response.objects.create(
            prompt=prompt,
            external_id=f"r{number}",
            text=f"Answer {number} to {external_id}.",
            model=f"secret-model-{number}",
            params={"temperature": 0.7},
        )
    open_slots([prompt])
    return prompt


@pytest.fixture(scope="module")
def stored_for_this_file(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """What fixtures of a whole file store after this one is there for all its tests;
    what a test itself changes is undone at its end, as ever."""
    around_all = transaction.atomic()
    # As a test's own: what must be durable may stand within.
    around_all._from_testcase = True  # type: ignore[attr-defined]
    with django_db_blocker.unblock(), around_all:
        yield
        transaction.set_rollback(True)


@pytest.fixture
def project(db: None) -> Project:
    return make_project()


def make_project() -> Project:
    """The project of the cast, without anybody in it."""
    project = Project.objects.create(slug="tides", title="Tides", overlap=2)
    Instructions.objects.create(project=project, version=1, text="Be fair.")
    return project


@pytest.fixture
def alice(project: Project) -> Membership:
    return make_member(project, "alice", Role.LABELER)


@pytest.fixture
def bob(project: Project) -> Membership:
    return make_member(project, "bob", Role.LABELER)


@pytest.fixture
def researcher(project: Project) -> Membership:
    return make_member(project, "researcher", Role.RESEARCHER)


@pytest.fixture
def admin(project: Project) -> Membership:
    return make_member(project, "admin", Role.ADMIN)


@pytest.fixture
def stranger(db: None) -> Membership:
    elsewhere = Project.objects.create(slug="elsewhere", title="Elsewhere")
    return make_member(elsewhere, "stranger", Role.ADMIN)


def browser_of(user: User | None) -> Client:
    """A browser in which the person is signed in.

    As `Client.force_login` leaves it, without the ten statements that signing in takes:
    a test opens thousands of pages, and few are about the way in.
    """
    client = Client()
    if user is None:
        return client
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "allauth.account.auth_backends.AuthenticationBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session[SIGNED_IN_AT] = timezone.now().timestamp()
    session.save()
    assert session.session_key
    client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key
    return client


@pytest.fixture
def signed_in() -> Callable[[Membership], Client]:
    """`signed_in(alice)` is a browser of hers, whose forms carry their token."""

    def sign_in(member: Membership) -> Client:
        assert member.user is not None
        return browser_of(member.user)

    return sign_in


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[..., Path]:
    """`write_jsonl(rows)` is a file of one JSON object a line."""

    def write(rows: list[dict[str, Any]], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write
