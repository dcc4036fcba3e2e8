"""A project is archived, opened again, and copied.

Archived is not what `Project.archive` means: such a project never serves anything, and
takes foreign rankings. One that was archived here (`closed_at`) can be opened again.
"""

from dataclasses import dataclass
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from annotation.instructions import current_instructions, write_instructions
from annotation.models import (
    Membership,
    Project,
    Prompt,
    Response,
    Role,
    User,
)
from annotation.overlap import choose_overlap, lock_overlap
from annotation.slots import make_slots
from annotation.terms import current_terms, write_terms

PROMPTS_AT_ONCE: Final = 500
# What is the copy's own. Everything else of a project's row is a setting.
NOT_COPIED: Final = frozenset(
    {
        *("id", "slug", "title", "created_at", "created_by", "closed_at"),
        *("queue_version", "pseudonym_key"),
    }
)


def archive_project(project: Project) -> bool:
    """Hand out nothing more; False if the project is archived already.

    Every claim that begins after the commit is refused in words; one under way at that
    moment may still hand its labeler a prompt. What people hold can be submitted, and
    is kept; all pages stay readable.
    """
    open_now = Project.objects.filter(pk=project.pk, closed_at=None)
    return bool(open_now.update(closed_at=Now()))


def reopen_project(project: Project) -> bool:
    """Hand out work again, where it stopped; False if the project was not archived."""
    archived = Project.objects.filter(pk=project.pk, closed_at__isnull=False)
    return bool(archived.update(closed_at=None))


class SlugTakenError(Exception):
    """Another project has this name in addresses."""


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What of a project its copy gets besides settings, instructions and terms."""

    prompts: bool = False  # with responses, not those that were taken out
    people: bool = False  # with their roles; paused ones stay paused


def clone_project(
    project: Project, *, slug: str, title: str, user: User, copied: Copied
) -> Project:
    """A new project like this one, whose first admin is `user`.

    It gets all settings and flags, and the newest instructions and terms as its first
    versions. Never rankings, consents, datasets or how people did in the test; and its
    pseudonyms are its own, so nobody is linked across the two. Prompts get the copy's
    overlap drawn anew.

    All of it in one transaction: the queue opens when everything is there. Raises
    SlugTakenError (the unique constraint of the slug decides); nothing is written.
    """
    try:
        with transaction.atomic():
            copy = _copy_row(project, slug=slug, title=title, user=user)
            instructions = current_instructions(project)
            if instructions is not None:
                write_instructions(copy, text=instructions.text, user=user)
            terms = current_terms(project)
            if terms is not None:
                write_terms(copy, text=terms.text, user=user)
            _copy_people(project, copy, user, everybody=copied.people)
            if copied.prompts:
                _copy_prompts(project, copy)
    except IntegrityError as error:
        if "slug" not in str(error):
            raise
        raise SlugTakenError(f"A project is called {slug} already.") from error
    return copy


def _copy_row(project: Project, *, slug: str, title: str, user: User) -> Project:
    settings = {
        field.attname: getattr(project, field.attname)
        for field in Project._meta.concrete_fields
        if field.name not in NOT_COPIED
    }
    return Project.objects.create(slug=slug, title=title, created_by=user, **settings)


def _copy_people(
    project: Project, copy: Project, user: User, *, everybody: bool
) -> None:
    """Its admin; and, if asked for, everybody else who can enter this project now."""
    members = Membership.objects.with_account().filter(
        project=project, revoked_at__isnull=True
    )
    own_name = members.filter(user=user).values_list("name", flat=True).first()
    Membership.objects.create(
        project=copy, user=user, name=own_name or user.email, role=Role.ADMIN
    )
    if everybody:
        Membership.objects.bulk_create(
            Membership(
                project=copy,
                user_id=one.user_id,
                name=one.name,
                role=one.role,
                paused_at=one.paused_at,
            )
            for one in members.exclude(user=user)
        )


def _copy_prompts(project: Project, copy: Project) -> None:
    """In the order of their import, in batches, so the memory stays flat."""
    lock_overlap(copy.pk)
    wanted = Prompt.objects.filter(project=project, rejection__isnull=True)
    last = 0
    while some := list(wanted.filter(pk__gt=last).order_by("pk")[:PROMPTS_AT_ONCE]):
        last = some[-1].pk
        _copy_some(some, copy)


def _copy_some(originals: list[Prompt], copy: Project) -> None:
    copies = [
        Prompt(
            project=copy,
            external_id=prompt.external_id,
            messages=prompt.messages,
            tags=prompt.tags,
            purpose=prompt.purpose,
            gold=prompt.gold,
            metadata=prompt.metadata,
            priority=prompt.priority,
            line_sha256=prompt.line_sha256,
        )
        for prompt in originals
    ]
    choose_overlap(project=copy, prompts=copies)
    Prompt.objects.bulk_create(copies)
    copy_of = {
        original.pk: made for original, made in zip(originals, copies, strict=True)
    }
    responses = Response.objects.filter(prompt__in=originals).order_by("pk")
    Response.objects.bulk_create(
        Response(
            prompt=copy_of[response.prompt_id],
            external_id=response.external_id,
            text=response.text,
            model=response.model,
            params=response.params,
        )
        for response in responses
    )
    make_slots([made.pk for made in copies])
