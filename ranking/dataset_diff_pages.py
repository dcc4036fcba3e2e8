"""The page that lays two datasets beside each other."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from ranking.dataset_diff import diff_of
from ranking.dataset_facts import in_words
from ranking.dataset_pages import OTHERS_SHOWN, RESEARCHERS, dataset_named
from ranking.models import Dataset


@require_safe
@for_members(*RESEARCHERS)
def dataset_diff(member: Member, name: str) -> HttpResponse:
    """From the dataset that `from` names, else the one frozen before, to this one."""
    after = dataset_named(member, name)
    others = Dataset.objects.filter(project=member.project).exclude(pk=after.pk)
    asked = member.request.GET.get("from", "")
    if asked:
        before: Dataset | None = dataset_named(member, asked)
    else:
        before = others.filter(pk__lt=after.pk).order_by("-pk").first()
    diff = diff_of(before, after) if before else None
    context = {
        "member": member,
        "before": before,
        "after": after,
        "diff": diff,
        "filters": [
            (one.name.replace("_", " "), in_words(one.before), in_words(one.after))
            for one in (diff.filters if diff else ())
        ],
        "others": others.order_by("-pk")[:OTHERS_SHOWN],
    }
    return render(member.request, "ranking/dataset_diff.html", context)
