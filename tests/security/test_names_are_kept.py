"""Who may know who is who: admins read names, researchers pseudonyms, and labelers
nobody's; and a labeler's own pages say nothing of how anybody else works.

Every address that lets a researcher or a labeler in is read in a project after weeks of
work: pages, files, figures and the API, those that are added later too.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote, quote_plus

import pytest
import time_machine
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from annotation.models import Assignment, Membership, Role, User
from ranking.datasets import freeze
from ranking.export.choice import KINDS
from ranking.filters import Filters
from ranking.models import Dataset, ExportRun
from ranking.pictures import PICTURES
from ranking.summaries import lock_and_summarize
from ranking.withdrawal import withdraw
from rm_training.evaluation.exhibits import exhibits
from rm_training.models import RewardModel, ScoredFile, TrainingRun
from tests.conftest import browser_of, make_member, make_project, make_prompt
from tests.e2e.furnished import ORDERS, furnish
from tests.ranking.exported import write_waiting, written_at_once
from tests.ranking.rows import store_ranking
from tests.test_access_matrix import (
    IN,
    ROWS,
    Arguments,
    Builder,
    Cast,
    a_comparison_figure,
    a_dashboard_figure,
    a_dataset,
    a_dataset_file,
    a_figure,
    a_freeze,
    a_picture,
    a_prompt,
    a_run,
    a_scored_file,
    a_training_answer,
    an_evaluated_run,
    an_exhibit,
    an_exhibits_figure,
    an_export,
    an_unknown_link,
    an_unknown_reset,
    finish,
    its_rewards,
    make_cast,
    nothing,
    the_labelers_assignment,
    the_labelers_token,
    the_project,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("written_at_once")]
__all__ = ["written_at_once"]

# What the names and addresses of all labelers have in common, and nothing else has.
TELLING = re.compile(rb"zqname|zqmail", re.IGNORECASE)
DRAWN = re.compile(
    rb"\b[A-Za-z0-9]{64}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
)
# Of the addresses that a researcher reads, those that name labelers.
NAMING = {
    *("agreement", "api_agreement", "agreement_pictures", "habits", "dashboard_csv"),
    *("dashboard_figure", "prompt_consensus"),
}


@pytest.fixture
def clock_stands_still() -> Iterator[None]:
    """A page that tells the time says the same twice."""
    with time_machine.travel(timezone.now(), tick=False):
        yield


@pytest.fixture(scope="module")
def worked_once(
    stored_for_this_file: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cast]:
    """Weeks of work by people whose names can be told, one of them imported, one
    withdrawn, one chosen by name for a dataset."""
    with override_settings(VAR_DIR=tmp_path_factory.mktemp("var")):
        yield work(make_cast(make_project()))


@pytest.fixture
def worked(worked_once: Cast, db: None) -> Cast:
    return worked_once


def work(cast: Cast) -> Cast:
    """The same people, after it."""
    furnish(cast)
    user = cast.user("admin")
    assert user is not None
    imported = Membership.objects.create(
        project=cast.project, name="Zqname of a file", role=Role.LABELER
    )
    for prompt in cast.project.prompt_set.filter(external_id__in=["p3", "p4"]):
        store_ranking(prompt, imported, ORDERS[0])
        lock_and_summarize([prompt.pk])
    _rename_labelers(cast)
    carol = Membership.objects.get(project=cast.project, paused_at__isnull=False)
    withdraw(carol, reason="Ranked at random.", user=user)
    chosen = Filters(labelers=frozenset({cast.labeler.pk}))
    freeze(cast.project, chosen, user=user)
    return cast


def _rename_labelers(cast: Cast) -> None:
    for labeler in Membership.objects.filter(project=cast.project, role=Role.LABELER):
        name, mail = f"Zqname {labeler.pk}", f"zqmail-{labeler.pk}@example.org"
        Membership.objects.filter(pk=labeler.pk).update(name=name)
        User.objects.filter(membership=labeler).update(email=mail)
    for member in (cast.labeler, cast.other):
        member.refresh_from_db()


# --- Every address of a project that is full --------------------------------------


def places(cast: Cast) -> dict[Builder, list[Arguments]]:
    """What an address may point at here, by what it points at in the table. What is
    for admins alone is not among it; a new kind of thing needs a line."""
    project = the_project(cast)
    look = {"theme": "dark", "width": "narrow"}
    datasets: list[Arguments] = [
        {**project, "name": name}
        for name in Dataset.objects.filter(project=cast.project).values_list(
            "name", flat=True
        )
    ]
    pictures: list[Arguments] = [{**project, "picture": name} for name in PICTURES]
    runs: list[Arguments] = [
        {**project, "pk": run.pk} for run in TrainingRun.objects.all()
    ]
    evaluated = RewardModel.objects.filter(evaluation__isnull=False)
    models = list(evaluated.values_list("run_id", "evaluation__splits__valid2"))
    exhibited: list[Arguments] = [
        {**project, "pk": run, "exhibit": shown.name}
        for run, split in models
        for shown in exhibits(split)
    ]
    scored: list[Arguments] = [
        {**project, "pk": job.pk} for job in ScoredFile.objects.all()
    ]
    prompts = cast.project.prompt_set.exclude(external_id__startswith="open-")
    tokens: list[Arguments] = [{"token": token} for token in _tokens(cast)]
    return {
        nothing: [{}],
        an_unknown_link: [an_unknown_link(cast)],
        an_unknown_reset: [an_unknown_reset(cast)],
        the_project: [project],
        a_prompt: [{**project, "pk": prompt.pk} for prompt in prompts],
        a_dataset: datasets,
        a_dataset_file: [
            {**one, "kind": kind, "extension": format}
            for one in datasets
            for kind, known in KINDS.items()
            for format in known.formats
        ],
        an_export: [
            {**project, "pk": _export_of(Dataset.objects.get(name=one["name"])).pk}
            for one in datasets
        ],
        a_freeze: [a_freeze(cast)],
        a_run: runs,
        a_figure: [{**run, **look} for run in runs],
        a_comparison_figure: [{**project, **look}],
        an_evaluated_run: [{**project, "pk": run} for run, _ in models],
        an_exhibit: exhibited,
        an_exhibits_figure: [{**one, **look} for one in exhibited],
        a_scored_file: scored,
        its_rewards: scored,
        a_picture: pictures,
        a_dashboard_figure: [{**one, **look} for one in pictures],
        the_labelers_token: tokens,
        the_labelers_assignment: [{**project, **token} for token in tokens],
        a_training_answer: [{**project, **token} for token in tokens],
    }


def _export_of(dataset: Dataset) -> ExportRun:
    run, _ = ExportRun.objects.get_or_create(
        dataset=dataset, kind="pairs", format="jsonl", disagreement="each", split="all"
    )
    return run


def _tokens(cast: Cast) -> list[str]:
    """Of all that alice has or had."""
    rows = Assignment.objects.filter(labeler=cast.labeler).order_by("pk")
    return list(rows.values_list("token", flat=True))


def addresses(cast: Cast, actor: str) -> Iterator[tuple[str, str]]:
    """(name, address) of all that this reader may read."""
    known = places(cast)
    for name, row in ROWS.items():
        if row.expected("GET")[actor] is IN:
            yield from (
                (name, reverse(name, kwargs=dict(place)))
                for place in known.get(row.points_at, ())
            )


def test_no_kind_of_address_is_forgotten(worked: Cast) -> None:
    known = {builder for builder, found in places(worked).items() if found}
    theirs = {
        name
        for actor in ("researcher", "labeler")
        for name, row in ROWS.items()
        if row.expected("GET")[actor] is IN
    }
    assert {name for name in theirs if ROWS[name].points_at not in known} == set()


def read(browser: Client, address: str) -> tuple[int, bytes]:
    """Status, and everything that is sent: headers, cookies and the whole body."""
    response = browser.get(address)
    if response.status_code == 202:  # a worker writes the file: it is the file we want
        write_waiting()
        response = browser.get(address)
    said = f"{response.headers}{response.cookies}".encode() + response.getvalue()
    finish(response)
    return response.status_code, said


def the_same(page: bytes) -> bytes:
    """A page without what is drawn anew each time: the token of its forms, and the
    number under which an answer is sent."""
    return DRAWN.sub(b"DRAWN", page)


# --- Names ------------------------------------------------------------------------


def test_who_runs_the_project_reads_names(worked: Cast) -> None:
    """The control: where a researcher reads pseudonyms, the same search finds names."""
    browser = browser_of(worked.admin.user)
    telling = {
        name
        for name, address in addresses(worked, "admin")
        if name in NAMING and TELLING.search(read(browser, address)[1])
    }
    assert telling == NAMING


@pytest.mark.parametrize("actor", ["researcher", "labeler"])
def test_nobody_else_reads_a_name_or_an_address_of_a_labeler(
    worked: Cast, actor: str
) -> None:
    """Pages, files, figures, the API: hundreds of addresses; alice may read hers."""
    browser = browser_of(worked.user(actor))
    hers = f"zqmail-{worked.labeler.pk}@example.org".encode()
    seen = set()
    for name, address in addresses(worked, actor):
        status, said = read(browser, address)
        if actor == "labeler":
            said = said.replace(hers, b"")
        assert not TELLING.search(said), address
        if status == 200:
            seen.add(name)
    assert len(seen) > 20


def test_a_researcher_cannot_ask_whether_somebody_of_that_name_works_here(
    worked: Cast,
) -> None:
    """By a name that there is and by one that there is not: the same answer."""
    browser = browser_of(worked.researcher.user)
    there, not_there = worked.labeler.name, "Zqname nobody"
    for parameter in ("labeler", "without_labeler"):
        for name in sorted(NAMING - {"prompt_consensus"}):
            address = next(at for n, at in addresses(worked, "researcher") if n == name)
            answers = {
                answer(browser, f"{address}?{parameter}=", word)
                for word in (there, not_there)
            }
            [(status, _)] = answers
            assert status in {400, 422}, address


def answer(browser: Client, address: str, word: str) -> tuple[int, bytes]:
    """Status and body, the word left out."""
    response = browser.get(address + quote(word))
    body = the_same(response.getvalue())
    for said in (word, quote(word), quote_plus(word)):
        body = body.replace(said.encode(), b"WORD")
    return response.status_code, body


# --- Numbers ----------------------------------------------------------------------


@pytest.mark.usefixtures("clock_stands_still")
def test_what_others_do_elsewhere_changes_nothing_that_a_labeler_reads(
    worked: Cast,
) -> None:
    """alice's pages before and after others ranked what she never had, somebody new
    came, and was withdrawn; the control: a ranking of her own does change them."""
    browser = browser_of(worked.labeler.user)
    before = everything_read_by_alice(worked, browser)
    new = make_member(worked.project, "Zqname newcomer", Role.LABELER)
    for number in range(12):
        prompt = make_prompt(worked.project, f"elsewhere-{number}", slots=1)
        Assignment.objects.filter(prompt=prompt).delete()  # the queue stays as it was
        store_ranking(prompt, worked.other, ORDERS[0], active_seconds=777.0)
        store_ranking(prompt, new, ORDERS[2], active_seconds=777.0)
        lock_and_summarize([prompt.pk])
    user = worked.user("admin")
    assert user is not None
    withdraw(new, reason="Ranked at random.", user=user)
    after = everything_read_by_alice(worked, browser)
    assert {at for at in before if before[at] != after.get(at)} == set()
    assert len(before) > 20

    prompt = make_prompt(worked.project, "hers", slots=1)
    Assignment.objects.filter(prompt=prompt).delete()
    at = timezone.now() - timedelta(days=3)
    closed = {"closed_at": at, "display_order": [0, 1, 2, 3]}
    store_ranking(prompt, worked.labeler, ORDERS[0], assignment=closed)
    after = everything_read_by_alice(worked, browser)
    assert {at for at in before if before[at] != after[at]}


def everything_read_by_alice(worked: Cast, browser: Client) -> dict[str, bytes]:
    """By address: its body without what differs each time."""
    found = {}
    for _, address in addresses(worked, "labeler"):
        response = browser.get(address)
        found[address] = the_same(response.getvalue())
        finish(response)
    return found
