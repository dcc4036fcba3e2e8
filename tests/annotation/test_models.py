"""Rules that two processes could break at once are the database's."""

import pytest
from django.db import IntegrityError, transaction

from annotation.models import Membership, Project, Prompt, Response, Role
from tests.conftest import make_member, make_prompt

pytestmark = pytest.mark.django_db


def test_a_person_has_one_role_in_a_project(
    project: Project, alice: Membership
) -> None:
    with pytest.raises(IntegrityError, match="one_role_per_person_and_project"):
        Membership.objects.create(
            project=project, user=alice.user, name="alice2", role=Role.ADMIN
        )


def test_a_member_without_account_can_only_be_an_imported_labeler(
    project: Project,
) -> None:
    with pytest.raises(IntegrityError, match="imported_labeler"):
        Membership.objects.create(project=project, name="x", role=Role.ADMIN)


def test_an_imported_labeler_may_share_a_name_with_a_member(
    project: Project, alice: Membership
) -> None:
    imported = Membership.objects.create(
        project=project, name="alice", role=Role.LABELER
    )
    assert imported.pk != alice.pk


def test_a_response_never_changes(project: Project) -> None:
    prompt = make_prompt(project)
    with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
        Response.objects.filter(prompt=prompt).update(text="other")


def test_the_same_labeler_has_a_pseudonym_of_its_own_in_each_project(
    project: Project, alice: Membership
) -> None:
    other = Project.objects.create(slug="other", title="Other")
    here, there = project.pseudonym(alice.pk), other.pseudonym(alice.pk)
    assert here != there
    assert here == project.pseudonym(alice.pk)
    assert here.startswith("L-")
    assert len(here) == 10


def test_prompt_ids_are_unique_within_a_project_only(project: Project) -> None:
    make_prompt(project, "p1")
    other = Project.objects.create(slug="other", title="Other")
    assert make_prompt(other, "p1").pk
    with pytest.raises(IntegrityError, match="prompt_ids_differ"):
        Prompt.objects.create(
            project=project, external_id="p1", messages=[], line_sha256=""
        )


def test_a_labeler_of_two_projects_has_two_memberships(
    project: Project, alice: Membership
) -> None:
    other = Project.objects.create(slug="other", title="Other")
    twin = make_member(other, "alice", Role.RESEARCHER)
    assert twin.user == alice.user
