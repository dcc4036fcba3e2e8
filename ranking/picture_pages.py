"""The dashboards' pictures: each as an image, and its rows as a file."""

import csv
from functools import partial

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from ranking.csv_cells import neutral
from ranking.dashboard_sums import (
    READERS,
    Asked,
    answered,
    names_of,
    source_of,
)
from ranking.figure_answers import figure_answer
from ranking.judgements import tags
from ranking.pictures import PICTURES, Picture


@require_safe
@for_members(*READERS)
def dashboard_figure(
    member: Member, picture: str, theme: str, width: str
) -> HttpResponse:
    """A picture as an image; 304 while its rows are what the browser has."""
    # matplotlib takes half a second to load: most web processes never need it.
    from ranking import charts  # noqa: PLC0415

    if picture not in PICTURES:
        raise Http404("No such figure.")

    def page(asked: Asked) -> HttpResponse:
        drawn = _picture(asked, picture)
        return figure_answer(
            member.request,
            partial(charts.draw, drawn),
            said=f"{charts.STYLE_VERSION} {drawn!r}",
            theme=theme,
            width=width,
        )

    return answered(member, page)


@require_safe
@for_members(*READERS)
def dashboard_csv(member: Member, picture: str) -> HttpResponse:
    """The rows of a picture as a file; an undefined number is an empty cell."""
    if picture not in PICTURES:
        raise Http404("No such picture.")

    def page(asked: Asked) -> HttpResponse:
        drawn = _picture(asked, picture)
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        name = f"{member.project.slug}-{picture}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        lines = csv.writer(response)
        if drawn.counts:
            lines.writerow([drawn.axis.lower(), drawn.unit])
            lines.writerows([neutral(r.label), f"{r.part:.0f}"] for r in drawn.rows)
            return response
        lines.writerow(
            [drawn.axis.lower(), *("value", "low", "high", "part", "of", "prompts")]
        )
        for row in drawn.rows:
            low, high = row.interval or ("", "")
            value = "" if row.value is None else row.value
            lines.writerow(
                [neutral(row.label), value, low, high, row.part, row.whole, row.prompts]
            )
        return response

    return answered(member, page)


def _picture(asked: Asked, name: str) -> Picture:
    names = names_of(asked) if name == "ties-by-labeler" else {}
    carried = tags(asked.member.project) if name == "agreement-by-tag" else {}
    return PICTURES[name](source_of(asked, names=names, tags=carried))
