"""Pages of files that a reward model scores: sent, followed, downloaded."""

from typing import Any, Final, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from annotation.access import Member, for_members
from annotation.body_limit import takes_files
from annotation.jobs import waits_long
from annotation.models import Project
from annotation.paging import cursor_of, newest_first
from ranking.file_answers import resumable
from ranking.file_imports import FileTooLarge
from rm_training.models import RewardModel, ScoredFile
from rm_training.scored_files import (
    ScoringRefusedError,
    discard,
    models_of,
    receive,
    rewards_of,
)
from rm_training.views import TRAINERS

FILES_PER_PAGE: Final = 30
PROBLEMS_SHOWN: Final = 100
KIND: Final = "application/x-ndjson"


class ScoreForm(forms.Form):
    """A model of the project, and a file of prompts and responses."""

    reward_model = forms.ModelChoiceField(
        label="Reward model", queryset=RewardModel.objects.none(), empty_label=None
    )
    file = forms.FileField(max_length=10_000)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast("forms.ModelChoiceField[RewardModel]", self.fields["reward_model"])
        field.queryset = models_of(project)
        field.label_from_instance = model_name  # type: ignore[method-assign,assignment]


def model_name(model: RewardModel) -> str:
    """What pages call a model."""
    return f"Run {model.run_id}{' (in use)' if model.in_use else ''}"


@takes_files
@require_http_methods(["GET", "HEAD", "POST"])
@for_members(*TRAINERS)
def scored_files(member: Member) -> HttpResponse:
    """The files that were sent, newest first; POST takes another one."""
    if member.request.method != "POST":
        return _files_page(member, ScoreForm(project=member.project))
    form = ScoreForm(member.request.POST, member.request.FILES, project=member.project)
    if not form.is_valid():
        return _files_page(member, form, status=422)
    file: UploadedFile[bytes] = form.cleaned_data["file"]
    try:
        job = receive(
            form.cleaned_data["reward_model"],
            file.chunks(),
            file_name=file.name or "",
            user=member.user,
        )
    except FileTooLarge as error:
        form.add_error("file", str(error))
        return _files_page(member, form, status=413)
    except ScoringRefusedError as error:
        form.add_error(None, str(error))
        return _files_page(member, form, status=409)
    return redirect("scored_file", member.project.slug, job.pk)


def _files_page(member: Member, form: ScoreForm, *, status: int = 200) -> HttpResponse:
    before = cursor_of(member.request.GET.get("before", ""))
    files, older = files_of(member.project, before=before)
    context = {
        "member": member,
        "form": form,
        "has_models": models_of(member.project).exists(),
        "files": files,
        "older": older,
        "most_bytes": settings.UPLOAD_MAX_BYTES,
    }
    return render(
        member.request, "rm_training/scored_files.html", context, status=status
    )


def files_of(
    project: Project, *, before: int | None = None
) -> tuple[list[ScoredFile], int | None]:
    """A page of files, newest first, and the cursor of the next one. One query."""
    found = ScoredFile.objects.filter(project=project).defer("problems")
    found = found.select_related("created_by", "reward_model")
    return newest_first(found, most=FILES_PER_PAGE, before=before)


@require_safe
@for_members(*TRAINERS)
def scored_file(member: Member, pk: int) -> HttpResponse:
    """How far a file is, its rewards, and what was wrong with its lines."""
    return render(member.request, "rm_training/scored_file.html", _context(member, pk))


@require_safe
@for_members(*TRAINERS)
def scored_file_live(member: Member, pk: int) -> HttpResponse:
    """The part of that page that changes while a worker scores."""
    return render(member.request, "rm_training/_scored_live.html", _context(member, pk))


@require_safe
@for_members(*TRAINERS)
def scored_rewards(member: Member, pk: int) -> HttpResponseBase:
    """The rewards, whole or from where a download broke off."""
    return rewards_answer(member.request, _job(member, pk))


def rewards_answer(request: HttpRequest, job: ScoredFile) -> HttpResponseBase:
    """The rewards as a file. Raises Http404 where there are none (any more)."""
    file = rewards_of(job)
    if file is None:
        raise Http404("There are no rewards of this file: not yet, or not any more.")
    return resumable(request, file, named=f"rewards-{job.pk}.jsonl", kind=KIND)


@require_POST
@for_members(*TRAINERS)
def discard_scored_file(member: Member, pk: int) -> HttpResponseBase:
    """Delete the file and its rewards; a job that is not done stops."""
    discard(_job(member, pk))
    messages.success(member.request, "The file and its rewards are deleted.")
    return redirect("scored_files", member.project.slug)


def _context(member: Member, pk: int) -> dict[str, Any]:
    job = _job(member, pk)
    return {
        "member": member,
        "job": job,
        "problems": job.problems[:PROBLEMS_SHOWN],
        "unlisted": job.refused - min(len(job.problems), PROBLEMS_SHOWN),
    }


def _job(member: Member, pk: int) -> ScoredFile:
    files = ScoredFile.objects.filter(project=member.project)
    files = files.select_related("created_by", "reward_model")
    return get_object_or_404(files.annotate(waits_long=waits_long()), pk=pk)
