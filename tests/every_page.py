"""The pages of the site, taken from the access matrix, so that none is forgotten."""

from collections.abc import Iterator
from typing import Any

from django.urls import reverse

from tests.test_access_matrix import (
    IN,
    ROWS,
    Answers,
    Cast,
    an_unknown_link,
    an_unknown_reset,
    nothing,
    the_project,
)

# A stranger's project is another one; for the rest of the site they are anybody.
PEOPLE = ("anon", "labeler", "other", "researcher", "admin", "site_admin")
# One's own account looks the same to all, but for the list of projects.
ACCOUNTS = ("labeler", "site_admin")
# Answers that are no pages of their own: probes, files, JSON, and the parts that
# scripts put into pages.
NO_PAGES = {
    *(name for name in ROWS if name.startswith("api_")),
    *("livez", "readyz", "hours_csv", "run_metrics", "run_figure"),
    "compare_figure",
    *("choose_dataset_file", "dataset_file", "dataset_exports", "export_live"),
    *("labelers_csv", "labeler_card_csv", "labeler_card_figure"),
    *("dashboard_csv", "dashboard_figure", "second_factor_picture"),
    *("evaluation_json", "evaluation_csv", "evaluation_figure"),
    *("generation_progress", "run_live", "file_import_live"),
    *("scored_file_live", "scored_rewards"),
    *("file_import_csv", "file_import_json"),
    *("dataset_matching", "freezes", "trained_on"),
}
# Measured in every state by a file of its own: test_rank_page_for_everybody.
RANK_PAGES = {"rank", "rank_prompt"}
# Where an address holds more than a project, an empty project has nothing there.
WITHOUT_MORE = (nothing, the_project, an_unknown_link, an_unknown_reset)
FURTHER_FACES = {
    "prompts": ("?show=skipped", "?show=out", "?before=1"),
    "changes": ("?kind=project", "?kind=prompt&before=1"),
    "hours": ("?since=2026-11-21&until=2026-11-01", "?since=x&until="),
    "labelers": ("?sort=-agreement&tag=nothing", "?since=x"),
    "agreement": ("?tag=nothing", "?since=x"),
    "overview": ("?tag=nothing", "?since=x"),
    "agreement_pictures": ("?tag=nothing",),
    "habits": ("?tag=nothing",),
    "disagreement": ("?tag=nothing",),
    "dataset_diff": ("?from=nothing",),
}


def pages_of(
    actor: str, cast: Cast, singles: dict[str, Any] | None
) -> Iterator[tuple[str, str]]:
    """(name, path) of the pages that this person may open.

    `singles`: by name, what is in an address besides the project; None: nothing is.
    """
    for name, row in ROWS.items():
        if name in NO_PAGES | RANK_PAGES or not is_theirs(actor, row.expected("GET")):
            continue
        kwargs = dict(row.points_at(cast)) if row.points_at in WITHOUT_MORE else None
        if kwargs is None:
            if singles is None:
                continue
            kwargs = {**the_project(cast), **singles[name]}
        path = reverse(name, kwargs=kwargs)
        yield name, path
        for number, query in enumerate(FURTHER_FACES.get(name, ()), 1):
            yield f"{name}-{number}", path + query


def is_theirs(actor: str, answers: Answers) -> bool:
    """Whether they may open it, and nobody else is looking at the same."""
    if answers["anon"] is IN:
        return actor == "anon"
    if answers["stranger"] is IN:
        return actor in ACCOUNTS
    return answers[actor] is IN
