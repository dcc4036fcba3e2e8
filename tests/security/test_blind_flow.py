"""S9 over everything that a labeler does, one answer after the other.

tests/security/test_blindness.py opens each address once; here each one reaches what it
is for: drafts, conflicts, comparisons, refusals, corrections, feedback, skips, reports.
"""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse

from annotation.models import (
    Assignment,
    Membership,
    ProblemReport,
    Project,
    Prompt,
    Purpose,
    Qualification,
    SignInLink,
)
from annotation.queue import reject_prompt
from ranking.models import Draft
from rm_training.models import RewardModel
from tests.conftest import browser_of
from tests.security.others_work import (
    secret_prompt,
    start_keys_at_sentinels,
    what_others_did,
)
from tests.security.test_blindness import SENTINEL, TELLING, told
from tests.test_access_matrix import Cast, cast

__all__ = ["cast"]
pytestmark = pytest.mark.django_db
RANKS = {"A": 1, "B": 2, "C": 2, "D": 3}


@pytest.fixture
def secrets(cast: Cast) -> Cast:
    """A project whose every secret is a sentinel; alice is given training first."""
    start_keys_at_sentinels()
    Membership.objects.filter(pk=cast.other.pk).update(name=f"{SENTINEL}-name")
    Project.objects.update(
        sft_model=f"{SENTINEL}-sft", flags=["wrong"], labelers_see_agreement=True
    )
    cast.project.refresh_from_db()
    work = secret_prompt(cast.project, "tides", Purpose.WORK)
    what_others_did(cast, work)
    for name, purpose in (("a gold moon", Purpose.GOLD), ("rain", Purpose.TRAINING)):
        secret_prompt(cast.project, name, purpose)
    out = secret_prompt(cast.project, "the outcast", Purpose.WORK)
    reject_prompt(out, reason=f"{SENTINEL}-rejected")
    assert cast.labeler.user is not None
    SignInLink.objects.create(
        user=cast.labeler.user, token_sha256=SENTINEL, expires_at="2099-01-01T00:00Z"
    )
    return cast


class Work:
    """alice at work; everything that she is answered is searched at once."""

    def __init__(self, cast: Cast) -> None:
        self.browser, self.slug = browser_of(cast.labeler.user), cast.project.slug
        self.answers = 0

    def heard(self, response: HttpResponseBase, *expected: int) -> Any:
        """Search an answer; its JSON, if it is JSON."""
        assert response.status_code in expected, response.getvalue()
        assert told(response) == []
        self.answers += 1
        if response["Content-Type"].startswith("application/json"):
            return json.loads(response.getvalue())
        return response

    def page(self, name: str, *place: str, expect: int = 200) -> Any:
        address = reverse(name, args=[self.slug, *place])
        return self.heard(self.browser.get(address), expect)

    def form(self, name: str, *place: str, expect: int = 302, **fields: Any) -> Any:
        address = reverse(name, args=[self.slug, *place])
        return self.heard(self.browser.post(address, fields), expect)

    def call(self, verb: str, path: str, *expect: int, **body: Any) -> Any:
        answer = self.browser.generic(
            verb, f"/api/v1/{path}", json.dumps(body), content_type="application/json"
        )
        return self.heard(answer, *expect)

    def claim(self) -> str:
        given = self.call("POST", f"projects/{self.slug}/claim", 200)["assignment"]
        return str(given["token"])


def rank_with_every_detour(work: Work, token: str, *, feedback: bool) -> None:
    """Drafts, refusals, conflicts and a correction of one prompt."""
    at, key = f"assignments/{token}", str(uuid4())
    work.page("rank_prompt", token)
    work.page("training_feedback", token, expect=404)
    work.call("POST", f"{at}/heartbeat", 200)
    work.call("GET", f"{at}/compare?a=A&b=B", 200)
    work.call("GET", f"{at}/compare?a=A&b=Q", 422)
    for expect in (200, 409):
        work.call("PUT", f"{at}/draft", expect, rev=0, ranks=RANKS, note="mine")
    work.page("rank_prompt", token)
    work.call("POST", f"{at}/submit", 422, submission_uuid=key, ranks={"A": 1})
    flags = {"A": ["unheard of"]}
    work.call(
        *("POST", f"{at}/submit", 422), submission_uuid=key, ranks=RANKS, flags=flags
    )
    work.form("rank_prompt", token, expect=422, tier_A="1", note="mine")
    for expect in (201, 200):
        work.call("POST", f"{at}/submit", expect, submission_uuid=key, ranks=RANKS)
    tied = dict.fromkeys(RANKS, 1)
    other = {"submission_uuid": str(uuid4()), "ranks": tied}
    work.call("POST", f"{at}/submit", 409, **other)
    tiers = {f"tier_{letter}": "1" for letter in RANKS}
    work.form(
        *("rank_prompt", token), expect=409, submission_uuid=str(uuid4()), **tiers
    )
    work.call("POST", f"{at}/submit", 201, **other | {"replace": True})
    work.call("POST", f"{at}/skip", 409, reason="bad_prompt")
    work.call("POST", f"{at}/release", 200)
    work.page("rank_prompt", token)
    work.page("training_feedback", token, expect=200 if feedback else 404)


def look_around(work: Work) -> None:
    """The pages that are about no prompt."""
    for name in ("rank", "labeler_home", "hours", "instructions", "consent"):
        work.page(name)
    for name in ("project", "rank_unsent", "report_problem"):
        answer = work.browser.get(reverse(name, args=[work.slug]))
        work.heard(answer, 200, 302)
    work.call("GET", f"projects/{work.slug}/history", 200)
    work.call("GET", "schema/", 200)


def after_the_checks(cast: Cast) -> Iterator[float]:
    """alice has passed; first gold is all that she gets, then none."""
    Membership.objects.filter(pk=cast.labeler.pk).update(
        qualification=Qualification.PASSED, qualification_decided_at="2026-01-01T00:00Z"
    )
    for share in (0.5, 0.0):
        Project.objects.filter(pk=cast.project.pk).update(gold_fraction=share)
        yield share


def test_nothing_tells_in_all_that_a_labeler_does(
    secrets: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.direct.secrets.SystemRandom", AlwaysGold)
    work = Work(secrets)
    look_around(work)
    rank_with_every_detour(work, work.claim(), feedback=True)
    for _ in after_the_checks(secrets):
        token = work.claim()
        work.form("rank_prefetch", expect=200)
        rank_with_every_detour(work, token, feedback=False)
        look_around(work)
    purposes = Assignment.objects.filter(
        labeler=secrets.labeler, state="completed"
    ).values_list("prompt__purpose", flat=True)
    assert sorted(purposes) == ["gold", "training", "work"]
    assert work.answers > 80


class AlwaysGold:
    """A die that falls on gold, and on the first of it."""

    def random(self) -> float:
        return 0.0

    def choice(self, rows: list[Any]) -> Any:
        return rows[0]


def test_nothing_tells_in_what_is_given_up(secrets: Cast) -> None:
    """Skipped, given back, reported; and pages that are not there."""
    Prompt.objects.exclude(purpose=Purpose.WORK).update(purpose=Purpose.QUALIFICATION)
    work = Work(secrets)
    secret_prompt(secrets.project, "wind", Purpose.WORK)
    token = work.claim()
    work.form("report_problem", expect=422, text="")
    about = reverse("report_problem", args=[work.slug]) + f"?about={token}"
    work.heard(work.browser.get(about), 200)
    work.heard(work.browser.post(about, {"text": "It is cut off."}), 302)
    work.page("report_problem")
    work.call("POST", f"assignments/{token}/heartbeat", 200)
    work.form("rank_release", token)
    work.page("rank_prompt", token)
    token = work.claim()
    work.form("rank_skip", token)
    work.call("POST", f"assignments/{token}/skip", 422, reason="other")
    work.call("POST", f"assignments/{token}/skip", 200, reason="bad_prompt")
    work.page("rank_prompt", token, expect=302)
    work.page("rank")
    answer = work.call("POST", f"projects/{work.slug}/claim", 200)
    assert answer["assignment"] is None
    theirs = Assignment.objects.filter(labeler=secrets.other).values_list("token")[0][0]
    work.page("rank_prompt", theirs, expect=404)
    work.call("GET", f"assignments/{theirs}/compare?a=A&b=B", 404)
    work.call("PUT", f"assignments/{theirs}/draft", 404, rev=0, ranks=RANKS)


def test_the_keys_of_all_rows_are_sentinels(secrets: Cast) -> None:
    """The control: whoever may see a key is shown one."""
    make = reverse("prompts", args=[secrets.project.slug])
    found = told(browser_of(secrets.admin.user).get(make))
    assert f"{Prompt.objects.earliest('pk').pk}" in found
    assert SENTINEL in found
    for model in (Assignment, Draft, ProblemReport, RewardModel):
        assert TELLING.search(str(model._default_manager.latest("pk").pk))


def test_no_static_file_tells(secrets: Cast, client: Client) -> None:
    """Scripts and styles are the same for everybody: no cookie, no mark of a person."""
    page = browser_of(secrets.labeler.user).get(
        reverse("labeler_home", args=[secrets.project.slug])
    )
    named = [
        part.split('"')[0]
        for part in page.getvalue().decode().split('href="')[1:]
        if part.startswith("/static/")
    ]
    assert named
    for address in named:
        hers = browser_of(secrets.labeler.user).get(address)
        anybodys = client.get(address)
        content = hers.getvalue().decode()
        assert TELLING.findall(f"{hers.headers} {content}") == []
        assert content == anybodys.getvalue().decode()
        assert hers.get("ETag") == anybodys.get("ETag")
        assert not hers.cookies
