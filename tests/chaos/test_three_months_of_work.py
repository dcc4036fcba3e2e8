"""Every page about a project's work after three months of it, and with hardly any.

Pictures of whole pages, at a desk and on a phone, light and dark, go below VAR_DIR or
to `SCREENSHOTS`, for a person to look at; what can be measured is asserted: nothing is
wider than the window, every figure is there, and what is written can be read.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse

from annotation.models import Membership, Project, Prompt, Role
from ranking.disagreement import splits
from ranking.filters import Filters
from ranking.models import Dataset
from ranking.pictures import Source, throughput
from ranking.quality_cards import labeler_card
from ranking.quality_list import labelers_list
from ranking.queue_health import work_of
from ranking.summaries import lock_and_summarize, tallies_of
from tests.chaos.test_stored_scripts_in_full import patient
from tests.conftest import make_member, make_prompt
from tests.e2e.conftest import DESKTOP, PHONE, Visitor, visit
from tests.e2e.looks import CONTRAST, FOLDER, faults, too_wide
from tests.ranking.checks import GOLD
from tests.ranking.rows import store_ranking
from tests.simulated_labelers import Simulation
from tests.three_months import (
    BY_LENGTH,
    BY_PLACE,
    CARELESS,
    DRIFTS,
    HASTY,
    LONG_NAME,
    TIES_ALL,
    TIRING,
    three_months_of_work,
)

__all__ = ["visit"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.browser,
    pytest.mark.timeout(1800),
]
WINDOWS: Mapping[str, Mapping[str, Any]] = {
    f"{viewport['width']}-{scheme}": {"viewport": viewport, "color_scheme": scheme}
    for viewport in (DESKTOP, PHONE)
    for scheme in ("light", "dark")
}
# Enough where there is little to see: each size, and each scheme, once.
TWO_WINDOWS = (f"{DESKTOP['width']}-light", f"{PHONE['width']}-dark")
# Of the project alone.
PAGES = (
    *("overview", "agreement_pictures", "disagreement", "habits", "agreement"),
    *("labelers", "project", "project_settings", "members", "prompts", "imports"),
    *("datasets", "changes", "hours", "reports", "runs", "instructions"),
)
# What a labeler's card has to flag, of all that they did.
FAULTS = {
    CARELESS: {"agreement with others"},
    BY_PLACE: {"position bias"},
    BY_LENGTH: {"length bias"},
    HASTY: {"faster than reading"},
    TIES_ALL: {"ties"},
    TIRING: {"fatigue"},
}
MISSING_PICTURES = """() => [...document.images]
  .filter(image => !image.complete || !image.naturalWidth).map(image => image.src)"""
Pages = dict[str, str]
PICTURES = Path(FOLDER) if FOLDER else Path(settings.VAR_DIR) / "looks"


def pages_of(project: Project, **more: tuple[str, dict[str, Any]]) -> Pages:
    """Addresses by the names of their pictures; `more`: of single things."""
    named: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in PAGES}
    return {
        name: reverse(address, kwargs={"slug": project.slug, **rest})
        for name, (address, rest) in (named | more).items()
    }


def look_at(
    visit: Visitor,
    reader: Membership,
    pages: Pages,
    state: str,
    windows: Iterable[str] = WINDOWS,
) -> None:
    """Open every page in every window; picture it, then hold it to what is measured."""
    complaints = []
    for window in windows:
        options = WINDOWS[window]
        window_of = patient(visit(reader, **options, reduced_motion="reduce"))
        for name, path in pages.items():
            page = window_of.open(path)
            page.wait_for_function("() => [...document.images].every(i => i.complete)")
            picture = PICTURES / f"{state}-{name}-{window}.png"
            page.screenshot(path=picture, full_page=True)
            found = too_wide(page) + page.evaluate(MISSING_PICTURES)
            found += faults(page, type="rule", values=CONTRAST)
            complaints += [f"{window}, {path}: {one}" for one in found]
    assert not complaints, "\n".join(complaints)


def test_three_months_of_work_can_be_read(
    project: Project, admin: Membership, researcher: Membership, visit: Visitor
) -> None:
    assert admin.user is not None
    simulation = three_months_of_work(project, admin.user)
    assert_true_to(simulation, project)
    look_at(visit, admin, full_pages(project), "full")


def assert_true_to(simulation: Simulation, project: Project) -> None:
    """What the pages count is what was done, and who is flagged is who should be."""
    tallies = tallies_of(project, Filters(pool="random"))
    by_day = throughput(Source(tallies=tallies, names={}, tags={}))
    done = int((simulation.repeat == 0).sum())
    assert sum(row.part for row in by_day.rows) == work_of(project).done == done
    people = Membership.objects.filter(project=project, role=Role.LABELER)
    cards = {one.name: labeler_card(one) for one in people}
    flagged = {name: set(card.flagged()) for name, card in cards.items()}
    assert {name: own & flagged[name] for name, own in FAULTS.items()} == FAULTS
    listed = {row.name: row for row in labelers_list(project, Filters())}
    # The list rests on the latest hundred of each, which need not decide yet.
    seen = {name for name, row in listed.items() if row.flagged or flagged[name]}
    assert seen <= {*FAULTS, DRIFTS}
    lately, ever = listed[DRIFTS].card.agreement, cards[DRIFTS].agreement
    assert lately.value is not None
    assert ever.value is not None
    assert lately.value < ever.value - 0.02


def full_pages(project: Project) -> Pages:
    """All pages, with a card of each kind of labeler."""
    split = splits(tallies_of(project, Filters(pool="random")))[0]
    pages = pages_of(
        project,
        prompt=("prompt", {"pk": split.prompt}),
        prompt_consensus=("prompt_consensus", {"pk": split.prompt}),
        dataset=("dataset", {"name": Dataset.objects.earliest("pk").name}),
    )
    named = {
        "careless": CARELESS,
        "by-place": BY_PLACE,
        "tiring": TIRING,
        "careful": LONG_NAME,
    }
    for kind, name in named.items():
        key = {"membership_id": project.membership_set.get(name=name).pk}
        card = ("labeler_card", key)
        pages |= pages_of(
            project,
            **{f"card-{kind}": card},
            withdrawal=("withdrawal", key),
            member=("labeler", key),
        )
    return pages


def nothing(project: Project) -> None:
    """No prompt, no labeler."""


def one_labeler(project: Project) -> None:
    """Who has ranked twelve prompts, and nobody else any."""
    _each_their_own(project, [make_member(project, LONG_NAME[:40], Role.LABELER)])


def no_overlap(project: Project) -> None:
    """Three labelers, and no prompt that two of them ranked."""
    names = ("Ada", "Björn", "Cass")
    _each_their_own(project, [make_member(project, n, Role.LABELER) for n in names])


def _each_their_own(project: Project, labelers: list[Membership]) -> None:
    for number in range(12):
        prompt = make_prompt(project, f"p{number}", slots=1)
        labeler = labelers[number % len(labelers)]
        store_ranking(prompt, labeler, GOLD, assignment={"display_order": [2, 0, 3, 1]})
    keys = Prompt.objects.filter(project=project).values_list("pk", flat=True)
    lock_and_summarize(list(keys))


@pytest.mark.parametrize("fill", [nothing, one_labeler, no_overlap])
def test_a_page_with_little_to_say_says_what_to_do(
    project: Project,
    admin: Membership,
    visit: Visitor,
    fill: Callable[[Project], None],
) -> None:
    fill(project)
    pages = pages_of(project)
    for labeler in project.membership_set.filter(role=Role.LABELER)[:1]:
        card = ("labeler_card", {"membership_id": labeler.pk})
        prompt = {"pk": Prompt.objects.filter(project=project)[0].pk}
        pages |= pages_of(
            project,
            card=card,
            prompt=("prompt", prompt),
            prompt_consensus=("prompt_consensus", prompt),
        )
    look_at(visit, admin, pages, fill.__name__, TWO_WINDOWS)
