"""What came of a dataset: the runs that learned from it, and their models."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from ranking.models import Dataset
from rm_training.models import TrainingRun
from rm_training.views import RUNS_PER_PAGE, TRAINERS


@require_safe
@for_members(*TRAINERS)
def dataset_runs(member: Member, name: str) -> HttpResponse:
    """The latest runs on a dataset. Its own page shows the table as a part."""
    dataset = get_object_or_404(
        Dataset, project=member.project, name=name if name.isprintable() else ""
    )
    runs = TrainingRun.objects.filter(dataset=dataset).select_related("reward_model")
    context = {
        "member": member,
        "dataset": dataset,
        "runs": runs.order_by("-pk")[:RUNS_PER_PAGE],
    }
    return render(member.request, "rm_training/dataset_runs.html", context)


@require_safe
@for_members(*TRAINERS)
def trained_on(member: Member) -> HttpResponse:
    """For the list of datasets: how many runs and models each of those named has.

    Pieces of that page, which htmx puts where they belong.
    """
    named = [one for one in member.request.GET.getlist("name") if one.isprintable()]
    wanted = Dataset.objects.filter(project=member.project, name__in=named[:100])
    counts = {one.name: [0, 0] for one in wanted}
    runs = TrainingRun.objects.filter(dataset__in=wanted)
    for name, model in runs.values_list("dataset__name", "reward_model"):
        counts[name][0] += 1
        counts[name][1] += model is not None
    context = {
        "member": member,
        "rows": [(name, *numbers) for name, numbers in counts.items()],
    }
    return render(member.request, "rm_training/_trained_on.html", context)
