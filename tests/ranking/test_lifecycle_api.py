"""What admins do to a project by the API: what the pages do, noted under their name."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from knox.models import AuthToken

from annotation.changes import changes_of
from annotation.imports import import_prompts
from annotation.models import (
    TOMBSTONE,
    GenerationRun,
    Membership,
    Project,
    Prompt,
    PromptImport,
    Takedown,
    User,
)
from ranking.datasets import freeze
from ranking.models import DatasetLoss
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking

# What is undone or forgotten commits in steps.
pytestmark = pytest.mark.django_db(transaction=True)
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}
Send = Callable[..., Any]


@pytest.fixture
def send(admin: Membership) -> Send:
    """POST as a script of the admin's, with a token and no session."""
    _, token = AuthToken.objects.create(user=admin.user)
    client = Client(headers={"Authorization": f"Token {token}"})

    def post(end: str, **body: Any) -> Any:
        address = f"/api/v1/projects/tides/{end}"
        return client.post(address, body, content_type="application/json")

    post.client = client  # type: ignore[attr-defined]
    return post


def got(send: Send, end: str) -> Any:
    return send.client.get(f"/api/v1/projects/tides/{end}")  # type: ignore[attr-defined]


def test_a_script_archives_and_reopens_and_the_history_names_its_owner(
    project: Project, send: Send
) -> None:
    assert send("archive").json() == {"archived": True, "changed": True}
    assert send("archive").json() == {"archived": True, "changed": False}
    assert Project.objects.get().closed_at is not None
    assert send("reopen").json() == {"archived": False, "changed": True}
    assert send("reopen").json() == {"archived": False, "changed": False}
    assert Project.objects.get().closed_at is None
    opened, closed, *_ = changes_of(project, kind="project")[0]
    assert opened.by == closed.by == "admin@example.org"


def test_only_a_site_admin_copies_a_project_and_only_to_a_free_name(
    project: Project, send: Send
) -> None:
    make_prompt(project)
    wanted: dict[str, Any] = {"title": "Copy", "slug": "copy", "prompts": True}
    assert send("clone", **wanted).status_code == 403
    assert Project.objects.count() == 1
    User.objects.update(is_site_admin=True)
    made = send("clone", **wanted)
    assert (made.status_code, made.json()) == (201, {"slug": "copy"})
    copy = Project.objects.get(slug="copy")
    assert Prompt.objects.filter(project=copy).count() == 1
    assert [one.name for one in Membership.objects.filter(project=copy)] == ["admin"]
    taken = send("clone", **wanted)
    assert taken.status_code == 409
    assert taken.json()["message"] == "A project is called copy already."
    wrong = send("clone", title="Copy", slug="a b")
    assert wrong.status_code == 422
    assert wrong.json()["message"].startswith("Not stored: slug: ")


@pytest.fixture
def done(project: Project) -> PromptImport:
    """An import of two prompts."""
    texts = [{"id": f"r{n}", "text": f"{n}"} for n in range(1, 5)]
    rows = [{"id": name, "prompt": "Why?", "responses": texts} for name in "ab"]
    file = "\n".join(map(json.dumps, rows)).encode()
    import_prompts(project, io.BytesIO(file))
    return PromptImport.objects.get()


def test_an_import_is_listed_foreseen_and_undone(
    project: Project, done: PromptImport, alice: Membership, send: Send
) -> None:
    store_ranking(Prompt.objects.get(external_id="a"), alice, RANKS)
    listed = got(send, "imports").json()
    assert listed["older"] is None
    [one] = listed["imports"]
    assert (one["id"], one["imported"], one["undone_at"]) == (done.pk, 2, None)
    end = f"imports/{done.pk}/undo"
    numbers = {"removed": 1, "taken_out": 1, "out_already": 0}
    assert got(send, end).json() == {**numbers, "changed": False}
    assert Prompt.objects.count() == 2
    assert send(end).json() == {**numbers, "changed": True}
    assert [one.external_id for one in Prompt.objects.all()] == ["a"]
    nothing = {**dict.fromkeys(numbers), "changed": False}
    assert send(end).json() == got(send, end).json() == nothing
    assert got(send, "imports").json()["imports"][0]["undone_at"] is not None
    undone = changes_of(project, kind="import")[0][0]
    assert (undone.deed, undone.by) == ("undone", "admin@example.org")


def test_an_import_is_not_undone_while_responses_are_written(
    project: Project, done: PromptImport, send: Send
) -> None:
    GenerationRun.objects.create(project=project, settings={}, state="queued")
    refused = send(f"imports/{done.pk}/undo")
    assert refused.status_code == 409
    assert "Nothing was undone" in refused.json()["message"]
    assert Prompt.objects.count() == 2


def test_pages_of_imports_follow_one_another(project: Project, send: Send) -> None:
    PromptImport.objects.bulk_create(PromptImport(project=project) for _ in range(60))
    first = got(send, "imports").json()
    second = got(send, f"imports?before={first['older']}").json()
    keys = [one["id"] for one in (*first["imports"], *second["imports"])]
    assert keys == sorted(PromptImport.objects.values_list("pk", flat=True))[::-1]
    assert second["older"] is None


def test_a_prompt_is_taken_down_by_its_id_and_its_datasets_are_named(
    project: Project, alice: Membership, send: Send
) -> None:
    store_ranking(make_prompt(project), alice, RANKS)
    dataset = freeze(project)
    reason = {"reason": "A name."}
    assert send("take-down", prompt="p1").status_code == 422
    assert send("take-down", prompt="p2", **reason).status_code == 404
    assert not Takedown.objects.exists()
    datasets = [{"name": dataset.name, "rankings": 1}]
    for is_new in (True, False):
        answer = send("take-down", prompt="p1", **reason).json()
        assert answer == {"changed": is_new, "datasets": datasets}
    assert Prompt.objects.get().messages[0]["content"] == TOMBSTONE
    assert DatasetLoss.objects.get().dataset == dataset
    by = changes_of(project, kind="takedown")[0][0].by
    assert by == "admin@example.org"


def test_what_is_another_projects_is_not_there(
    stranger: Membership, send: Send
) -> None:
    prompt = make_prompt(stranger.project)
    kept = PromptImport.objects.create(project=stranger.project)
    answer = send("take-down", prompt=prompt.external_id, reason="A name.")
    assert answer.status_code == 404
    assert send(f"imports/{kept.pk}/undo").status_code == 404
    assert send("forget", who="stranger").status_code == 404
    assert not Takedown.objects.exists()


def test_a_labeler_is_forgotten_by_pseudonym_or_by_a_name_that_is_theirs_alone(
    project: Project, alice: Membership, bob: Membership, send: Send
) -> None:
    assert send("forget", who="bob").json() == {"changed": True, "datasets": []}
    bob.refresh_from_db()
    assert bob.forgotten_at is not None
    imported = Membership.objects.create(project=project, name="alice", role="labeler")
    refused = send("forget", who="alice")
    assert refused.status_code == 422
    assert project.pseudonym(alice.pk) in refused.json()["message"]
    who = project.pseudonym(imported.pk)
    assert send("forget", who=who).json()["changed"]
    assert not send("forget", who=who).json()["changed"]
    alice.refresh_from_db()
    assert alice.forgotten_at is None
    assert send("forget", who="admin").status_code == 404
