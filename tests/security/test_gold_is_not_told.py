"""S9: gold and repeats look like all other work, whatever their labeler does.

Each script is what a labeler may try with one prompt. It is played on a prompt of the
queue, on a gold one and on a repeat, all with the same texts; every status, header and
body has to be the same, but for what is drawn anew for each.
"""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import Value
from django.db.models.functions import Now
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse

from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Instructions,
    Membership,
    Project,
    Prompt,
    Purpose,
    Response,
)
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db

DRAWN_ANEW = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # the key of a submission
    r'|(?<=csrfmiddlewaretoken" value=")[^"]*'
    r'|(?<=submission_asked" value=")[^"]*|(?<=submission_asked": ")[^"]*'
    r"|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)"
    r"|(?<=data-left=\")\d+|(?<=until )\d\d:\d\d UTC"
)
RANKS = {"A": 1, "B": 2, "C": 2, "D": 3}


def a_prompt(project: Project, name: str, purpose: Purpose = Purpose.WORK) -> Prompt:
    """A prompt with the same texts as any other made here."""
    prompt = Prompt.objects.create(
        project=project,
        external_id=name,
        messages=[{"role": "user", "content": "The same question?"}],
        purpose=purpose,
        gold={f"r{n}": n for n in range(1, 5)} if purpose == Purpose.GOLD else None,
        metadata={"feedback": "The first is best."},
        line_sha256="0" * 64,
    )
    Response.objects.bulk_create(
        Response(prompt=prompt, external_id=f"r{n}", text=f"Answer {n} to it.")
        for n in range(1, 5)
    )
    return prompt


def held_row(
    prompt: Prompt,
    labeler: Membership,
    source: AssignmentSource = AssignmentSource.QUEUE,
    repeat: int = 0,
) -> Assignment:
    """A claim on a prompt whose letters stand in a given order."""
    Assignment.objects.filter(labeler=labeler).update(state=AssignmentState.COMPLETED)
    return Assignment.objects.create(
        project_id=prompt.project_id,
        prompt=prompt,
        slot=0,
        repeat=repeat,
        source=source,
        state=AssignmentState.CLAIMED,
        labeler=labeler,
        display_order=[2, 0, 3, 1],
        instructions=Instructions.objects.get(project=prompt.project_id),
        claimed_at=Now(),
        lease_until=Now() + Value(timedelta(minutes=30)),
    )


# --- What a labeler may try -------------------------------------------------------


class Desk:
    """A labeler's browser with one prompt before it, and all that it was answered."""

    def __init__(self, browser: Client, held: Assignment) -> None:
        self.browser = browser
        self.token = held.token
        self.slug = held.project.slug
        self.key = str(uuid4())
        self.heard: list[tuple[int, dict[str, str], str]] = []

    def page(self, verb: str = "GET", name: str = "rank_prompt", **form: Any) -> None:
        """One of the prompt's pages, or a form of it."""
        address = reverse(name, args=[self.slug, self.token])
        send = self.browser.post if verb == "POST" else self.browser.get
        self.hear(send(address, form))

    def call(self, verb: str, what: str, body: Any = None) -> None:
        """The API."""
        address = f"/api/v1/assignments/{self.token}/{what}"
        sent = json.dumps(body or {}) if verb != "GET" else ""
        kind = "application/json"
        self.hear(self.browser.generic(verb, address, sent, content_type=kind))

    def hear(self, response: HttpResponseBase) -> None:
        """Keep an answer without what is drawn anew for each prompt."""
        headers = {k: v for k, v in response.items() if k != "Content-Length"}
        body = response.getvalue().decode().replace(self.token, "TOKEN")
        headers = {k: v.replace(self.token, "TOKEN") for k, v in headers.items()}
        self.heard.append((response.status_code, headers, DRAWN_ANEW.sub("NEW", body)))


def look(desk: Desk) -> None:
    for name in ("rank_prompt", "training_feedback"):
        desk.page(name=name)
    for what in ("compare?a=A&b=B", "compare?a=A&b=Z"):
        desk.call("GET", what)


def rank_it(desk: Desk) -> None:
    desk.call("POST", "heartbeat")
    desk.call("PUT", "draft", {"rev": 0, "ranks": RANKS})
    desk.call("POST", "submit", {"submission_uuid": desk.key, "ranks": {"A": 1}})
    for _ in range(2):
        desk.call("POST", "submit", {"submission_uuid": desk.key, "ranks": RANKS})
    desk.call(
        "POST",
        "submit",
        {"submission_uuid": desk.key, "ranks": dict.fromkeys(RANKS, 1)},
    )
    desk.call("POST", "skip", {"reason": "bad_prompt"})
    look(desk)


def give_it_back_and_look(desk: Desk) -> None:
    desk.call("POST", "heartbeat")
    desk.call("PUT", "draft", {"rev": 0, "ranks": RANKS})
    desk.call("POST", "release")
    look(desk)
    desk.call("POST", "heartbeat")
    desk.call("PUT", "draft", {"rev": 1, "ranks": RANKS})
    desk.call("POST", "release")
    desk.call("POST", "submit", {"submission_uuid": desk.key, "ranks": RANKS})
    look(desk)


def give_it_back_unseen(desk: Desk) -> None:
    desk.page("POST", "rank_release")
    look(desk)
    desk.call("POST", "submit", {"submission_uuid": desk.key, "ranks": RANKS})


def skip_it(desk: Desk) -> None:
    desk.call("POST", "heartbeat")
    desk.call("POST", "skip", {"reason": "other"})
    for _ in range(2):
        desk.call("POST", "skip", {"reason": "bad_prompt"})
    look(desk)
    desk.call("POST", "submit", {"submission_uuid": desk.key, "ranks": RANKS})
    look(desk)


def be_away(desk: Desk) -> None:
    desk.call("POST", "heartbeat")
    lease_over = Now() - Value(timedelta(hours=2))
    Assignment.objects.filter(token=desk.token).update(lease_until=lease_over)
    look(desk)
    desk.call("POST", "heartbeat")
    Assignment.objects.filter(token=desk.token).update(lease_until=lease_over)
    desk.call("POST", "submit", {"submission_uuid": desk.key, "ranks": RANKS})


def report_it(desk: Desk) -> None:
    address = reverse("report_problem", args=[desk.slug]) + f"?about={desk.token}"
    desk.hear(desk.browser.post(address, {"text": "It is cut off."}))
    give_it_back_unseen(desk)


SCRIPTS = [
    rank_it,
    give_it_back_and_look,
    give_it_back_unseen,
    skip_it,
    be_away,
    report_it,
]


# --- The three kinds --------------------------------------------------------------


def held_rows(project: Project, labeler: Membership) -> dict[str, Assignment]:
    """One claim of each kind; each is made the labeler's only one when it is played."""
    work, gold, again = (
        a_prompt(project, "work"),
        a_prompt(project, "gold", Purpose.GOLD),
        a_prompt(project, "again"),
    )
    ranks = {f"r{n}": n for n in range(1, 5)}
    store_ranking(again, labeler, ranks)
    return {
        "work": held_row(work, labeler),
        "gold": held_row(gold, labeler, AssignmentSource.DIRECT),
        "again": held_row(again, labeler, AssignmentSource.DIRECT, repeat=1),
    }


Script = Callable[[Desk], None]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_no_answer_tells_a_gold_prompt_or_a_repeat_from_work(
    project: Project,
    alice: Membership,
    signed_in: Callable[[Membership], Client],
    script: Script,
) -> None:
    heard = {}
    for name, held in held_rows(project, alice).items():
        Assignment.objects.filter(labeler=alice, state="claimed").update(
            state=AssignmentState.EXPIRED
        )
        Assignment.objects.filter(pk=held.pk).update(state=AssignmentState.CLAIMED)
        desk = Desk(signed_in(alice), held)
        script(desk)
        heard[name] = desk.heard
    assert heard["gold"] == heard["work"]
    assert heard["again"] == heard["work"]


def test_a_difference_would_be_heard(
    project: Project, alice: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    """The control: a training prompt answers otherwise once it is ranked."""
    heard = []
    for purpose in (Purpose.WORK, Purpose.TRAINING):
        prompt = a_prompt(project, purpose, purpose)
        Prompt.objects.filter(pk=prompt.pk).update(
            gold={f"r{n}": n for n in range(1, 5)}
        )
        desk = Desk(signed_in(alice), held_row(prompt, alice, AssignmentSource.DIRECT))
        rank_it(desk)
        heard.append(desk.heard)
    assert heard[0] != heard[1]
