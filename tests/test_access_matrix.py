"""Who gets where: every address, every verb, every kind of person.

A new address needs one line in ROWS: its name, and for each verb that it answers the
people who may use it. Addresses with more in them than a project's slug also name a
function that makes what they point at. An address without a line fails, and so does a
line without an address.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.signals import request_finished
from django.db import close_old_connections
from django.http import HttpResponseBase
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from annotation.models import (
    AssignmentSource,
    Membership,
    Project,
    Prompt,
    PromptImport,
    Purpose,
    Role,
    User,
)
from annotation.queue import claim
from annotation.reports import report_problem
from ranking.datasets import freeze
from ranking.models import Dataset, ExportRun, FreezeRun
from ranking.models.file_imports import FileImport
from rm_training.evaluation.report import report
from rm_training.models import RewardModel, ScoredFile, TrainingRun
from tests.conftest import browser_of, make_member, make_prompt
from tests.ranking.checks import make_check
from tests.ranking.rows import store_ranking
from tests.rm_training.judged_prompts import judged_prompt

pytestmark = pytest.mark.django_db

ACTORS = ("anon", "labeler", "other", "researcher", "admin", "stranger", "site_admin")
VERBS = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "POST")
LOGIN = "/accounts/login/"

# --- What a person may meet -------------------------------------------------------

# Let in: what was asked for, a redirect, or what their input was worth.
IN = frozenset({200, 201, 202, 204, 302, 303, 304, 400, 409, 410, 422})
TO_LOGIN, UNKNOWN, NOT_THERE, WRONG_ROLE = (
    frozenset({n}) for n in (302, 401, 404, 403)
)
REFUSED = frozenset({302, 401, 403, 404, 405})

Answers = Mapping[str, frozenset[int]]


def allowed(*actors: str, anon: frozenset[int] = TO_LOGIN) -> Answers:
    """Members named here get in, other members have the wrong role, and for anybody
    else the project does not exist."""
    members = ("labeler", "other", "researcher", "admin")
    answers = {actor: IN if actor in actors else WRONG_ROLE for actor in members}
    return {**answers, "anon": anon, "stranger": NOT_THERE, "site_admin": NOT_THERE}


def api(answers: Answers) -> Answers:
    """The same under /api/: no page to sign in at, a 401 instead."""
    return {**answers, "anon": UNKNOWN}


ANYBODY: Answers = dict.fromkeys(ACTORS, IN)
SIGNED_IN: Answers = {**ANYBODY, "anon": TO_LOGIN}
SITE_ADMINS: Answers = {
    **dict.fromkeys(ACTORS, WRONG_ROLE),
    "anon": TO_LOGIN,
    "site_admin": IN,
}
# Of the cast the site admin alone has something to prove that it is still them.
PROVABLE = SITE_ADMINS
NOT_NOW: Answers = {**dict.fromkeys(ACTORS, NOT_THERE), "anon": TO_LOGIN}
MEMBERS = allowed("labeler", "other", "researcher", "admin")
LABELERS = allowed("labeler", "other")
# What belongs to the labeler alone; to the other one it does not exist.
ITS_LABELER: Answers = {**allowed("labeler"), "other": NOT_THERE}
# By its token alone: it exists for nobody else, whatever their role.
ITS_LABELER_BY_TOKEN: Answers = {
    **ITS_LABELER,
    **dict.fromkeys(("researcher", "admin"), NOT_THERE),
}
ADMINS = allowed("admin")
STAFF = allowed("researcher", "admin")
HIDDEN_FROM_LABELERS = {**STAFF, "labeler": NOT_THERE, "other": NOT_THERE}
NOBODY: Answers = dict.fromkeys(ACTORS, REFUSED)

# --- The cast and what addresses point at -----------------------------------------


@dataclass(frozen=True)
class Cast:
    """The people of a project, and the project."""

    project: Project
    labeler: Membership
    other: Membership
    researcher: Membership
    admin: Membership
    stranger: Membership
    site_admin: User

    def user(self, actor: str) -> User | None:
        """The account of an actor; None for a passer-by."""
        if actor == "anon":
            return None
        person = getattr(self, actor)
        return person if isinstance(person, User) else person.user


@pytest.fixture
def cast(project: Project) -> Cast:
    return make_cast(project)


def make_cast(project: Project) -> Cast:
    """`labeler` is alice and `other` is bob; the site admin belongs nowhere."""
    elsewhere = Project.objects.create(slug="elsewhere", title="Elsewhere")
    return Cast(
        project=project,
        labeler=make_member(project, "alice", Role.LABELER),
        other=make_member(project, "bob", Role.LABELER),
        researcher=make_member(project, "researcher", Role.RESEARCHER),
        admin=make_member(project, "admin", Role.ADMIN),
        stranger=make_member(elsewhere, "stranger", Role.ADMIN),
        site_admin=User.objects.create(email="boss@example.org", is_site_admin=True),
    )


Arguments = Mapping[str, Any]
Builder = Callable[[Cast], Arguments]


def the_project(cast: Cast) -> Arguments:
    return {"slug": cast.project.slug}


def nothing(cast: Cast) -> Arguments:
    return {}


def an_unknown_link(cast: Cast) -> Arguments:
    return {"token": "no-such-token"}


def an_unknown_reset(cast: Cast) -> Arguments:
    return {"uidb36": "1", "key": "no-such-key"}


def an_unknown_provider(cast: Cast) -> Arguments:
    return {"provider_id": "no-such-provider"}


def the_labelers_membership(cast: Cast) -> Arguments:
    return {**the_project(cast), "membership_id": cast.labeler.pk}


def a_card_file(cast: Cast) -> Arguments:
    return {**the_labelers_membership(cast), "picture": "agreement"}


def a_card_figure(cast: Cast) -> Arguments:
    return {**a_card_file(cast), "theme": "light", "width": "wide"}


def the_labelers_assignment(cast: Cast) -> Arguments:
    make_prompt(cast.project)
    claimed = claim(cast.labeler)
    assert claimed is not None
    return {**the_project(cast), "token": claimed.token}


def a_prompt(cast: Cast) -> Arguments:
    return {**the_project(cast), "pk": make_prompt(cast.project).pk}


def an_import(cast: Cast) -> Arguments:
    kept = PromptImport.objects.create(project=cast.project, file_name="tides.jsonl")
    Prompt.objects.filter(pk=make_prompt(cast.project).pk).update(came_with=kept)
    return {**the_project(cast), "pk": kept.pk}


def a_file(cast: Cast) -> Arguments:
    job = FileImport.objects.create(project=cast.project, shape="trl", size=1)
    return {**the_project(cast), "pk": job.pk}


def a_report(cast: Cast) -> Arguments:
    report = report_problem(cast.labeler, text="The text is cut off.")
    return {**the_project(cast), "pk": report.pk}


def the_labelers_token(cast: Cast) -> Arguments:
    return {"token": the_labelers_assignment(cast)["token"]}


def a_training_answer(cast: Cast) -> Arguments:
    ranks = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}
    prompt = make_check(cast.project, Purpose.TRAINING)
    direct = {"source": AssignmentSource.DIRECT, "display_order": [0, 1, 2, 3]}
    stored = store_ranking(prompt, cast.labeler, ranks, assignment=direct)
    return {**the_project(cast), "token": stored.assignment.token}


def a_dataset(cast: Cast) -> Arguments:
    ranks = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}
    store_ranking(make_prompt(cast.project), cast.labeler, ranks)
    return {**the_project(cast), "name": freeze(cast.project).name}


def a_freeze(cast: Cast) -> Arguments:
    run = FreezeRun.objects.create(project=cast.project, filters={"pool": "all"})
    return {**the_project(cast), "pk": run.pk}


def a_dataset_file(cast: Cast) -> Arguments:
    return {**a_dataset(cast), "kind": "rankings", "extension": "jsonl"}


def an_export(cast: Cast) -> Arguments:
    name = a_dataset(cast)["name"]
    run = ExportRun.objects.create(
        dataset=Dataset.objects.get(project=cast.project, name=name),
        kind="pairs",
        format="jsonl",
        disagreement="each",
        split="all",
    )
    return {**the_project(cast), "pk": run.pk}


def a_run(cast: Cast) -> Arguments:
    name = a_dataset(cast)["name"]
    run = TrainingRun.objects.create(
        project=cast.project,
        dataset=Dataset.objects.get(project=cast.project, name=name),
        base_model="base",
        config={},
    )
    return {**the_project(cast), "pk": run.pk}


def a_figure(cast: Cast) -> Arguments:
    return {**a_run(cast), "theme": "light", "width": "wide"}


def an_evaluated_run(cast: Cast) -> Arguments:
    where = a_run(cast)
    RewardModel.objects.create(
        project=cast.project,
        run_id=where["pk"],
        folder="tides/2",
        manifest_sha256="0" * 64,
        metrics={},
        evaluation={
            **report({"valid2": [judged_prompt([1.0, 0.0], [1, 2])]}),
            "left_out": {},
            "invariances": [],
        },
    )
    return where


def an_exhibit(cast: Cast) -> Arguments:
    return {**an_evaluated_run(cast), "exhibit": "slices"}


def an_exhibits_figure(cast: Cast) -> Arguments:
    return {**an_exhibit(cast), "theme": "light", "width": "wide"}


def a_comparison_figure(cast: Cast) -> Arguments:
    return {**the_project(cast), "theme": "light", "width": "wide"}


def a_picture(cast: Cast) -> Arguments:
    return {**the_project(cast), "picture": "throughput"}


def a_dashboard_figure(cast: Cast) -> Arguments:
    return {**a_picture(cast), "theme": "light", "width": "wide"}


def a_model(cast: Cast) -> Arguments:
    model = RewardModel.objects.create(
        project=cast.project,
        run_id=a_run(cast)["pk"],
        folder="tides/1",
        manifest_sha256="0" * 64,
        metrics={},
    )
    return {**the_project(cast), "pk": model.pk}


def a_scored_file(cast: Cast) -> Arguments:
    job = ScoredFile.objects.create(
        project=cast.project, reward_model_id=a_model(cast)["pk"], sent_bytes=1
    )
    return {**the_project(cast), "pk": job.pk}


def its_rewards(cast: Cast) -> Arguments:
    place = a_scored_file(cast)
    job = ScoredFile.objects.get(pk=place["pk"])
    ScoredFile.objects.filter(pk=job.pk).update(state="done", sha256="0" * 64, size=2)
    job.folder.mkdir(parents=True)
    job.rewards.write_text("{}")
    return place


# --- The table --------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """Who may use which verb of one address; a verb not named is refused to all."""

    points_at: Builder
    answers: Mapping[str, Answers]

    def expected(self, verb: str) -> Answers:
        """HEAD is GET without a body."""
        return self.answers.get("GET" if verb == "HEAD" else verb, NOBODY)


def row(points_at: Builder = the_project, **answers: Answers) -> Row:
    """`row(GET=MEMBERS, POST=ADMINS)`; first what the address points at, if that is
    more than the project."""
    return Row(points_at, answers)


ROWS = {
    "home": row(nothing, GET=SIGNED_IN),
    "livez": row(nothing, GET=ANYBODY),
    "readyz": row(nothing, GET=ANYBODY),
    # Signing in and out, passwords
    "sign_in_link": row(an_unknown_link, GET=ANYBODY, POST=ANYBODY),
    "account_login": row(nothing, GET=ANYBODY, POST=ANYBODY),
    "account_logout": row(nothing, GET=ANYBODY, POST=ANYBODY),
    "account_inactive": row(nothing, GET=ANYBODY),
    "account_change_password": row(nothing, GET=SIGNED_IN, POST=SIGNED_IN),
    "account_set_password": row(nothing, GET=SIGNED_IN, POST=SIGNED_IN),
    "account_reset_password": row(nothing, GET=ANYBODY, POST=ANYBODY),
    "account_reset_password_done": row(nothing, GET=ANYBODY),
    "account_reset_password_from_key": row(an_unknown_reset, GET=ANYBODY, POST=ANYBODY),
    "account_reset_password_from_key_done": row(nothing, GET=ANYBODY),
    "account_reauthenticate": row(nothing, GET=PROVABLE, POST=PROVABLE),
    "mfa_reauthenticate": row(nothing, GET=PROVABLE, POST=PROVABLE),
    "mfa_authenticate": row(nothing, GET=ANYBODY, POST=ANYBODY),
    "second_factor": row(nothing, GET=SIGNED_IN),
    "begin_second_factor": row(nothing, POST=SIGNED_IN),
    "confirm_second_factor": row(nothing, GET=SIGNED_IN, POST=SIGNED_IN),
    # It is there while a second factor is being set up.
    "second_factor_picture": row(nothing, GET=NOT_NOW),
    "make_recovery_codes": row(nothing, POST=SIGNED_IN),
    "remove_second_factor": row(nothing, POST=SIGNED_IN),
    # No server is configured.
    "openid_connect_login": row(an_unknown_provider),
    "openid_connect_callback": row(an_unknown_provider),
    "rescue": row(nothing, GET=SITE_ADMINS, POST=SITE_ADMINS),
    "tokens": row(nothing, GET=SIGNED_IN),
    "make_token": row(nothing, POST=SIGNED_IN),
    "revoke_token": row(nothing, POST=SIGNED_IN),
    "time_zone": row(nothing, GET=SIGNED_IN, POST=SIGNED_IN),
    # Projects
    "create_project": row(nothing, POST=SITE_ADMINS),
    "project": row(GET=MEMBERS),
    "instructions": row(GET=MEMBERS),
    "add_instructions": row(POST=ADMINS),
    "project_settings": row(GET=ADMINS, POST=ADMINS),
    "project_overlap": row(POST=ADMINS),
    "changes": row(GET=ADMINS),
    "archive_project": row(POST=ADMINS),
    "reopen_project": row(POST=ADMINS),
    # Copying makes a project, so whoever sends the form must be a site admin as well.
    "clone_project": row(GET=ADMINS, POST=allowed()),
    "consent": row(GET=allowed("labeler", "other", "admin")),
    "agree": row(POST=LABELERS),
    "add_terms": row(POST=ADMINS),
    "reports": row(GET=ADMINS),
    "report_problem": row(GET=LABELERS, POST=LABELERS),
    "answer_report": row(a_report, POST=ADMINS),
    "start_generation": row(POST=ADMINS),
    "cancel_generation": row(POST=ADMINS),
    "generation_progress": row(GET=ADMINS),
    # Members
    "members": row(GET=ADMINS),
    "add_member": row(POST=ADMINS),
    "fresh_link": row(the_labelers_membership, POST=ADMINS),
    "labeler": row(the_labelers_membership, GET=ADMINS),
    "member_access": row(the_labelers_membership, GET=ADMINS),
    "change_member_role": row(the_labelers_membership, POST=ADMINS),
    "remove_member": row(the_labelers_membership, POST=ADMINS),
    "revoke_member_token": row(the_labelers_membership, POST=ADMINS),
    "pause_member": row(the_labelers_membership, POST=ADMINS),
    "resume_member": row(the_labelers_membership, POST=ADMINS),
    "decide_qualification": row(the_labelers_membership, POST=ADMINS),
    "withdrawal": row(the_labelers_membership, GET=ADMINS),
    "withdraw_labeler": row(the_labelers_membership, POST=ADMINS),
    "reinstate_labeler": row(the_labelers_membership, POST=ADMINS),
    # Ranking
    "rank": row(GET=LABELERS),
    "rank_claim": row(POST=LABELERS),
    "rank_prefetch": row(POST=LABELERS),
    "rank_unsent": row(GET=LABELERS),
    "rank_prompt": row(the_labelers_assignment, GET=ITS_LABELER, POST=ITS_LABELER),
    "rank_renew": row(the_labelers_assignment, POST=ITS_LABELER),
    "rank_release": row(the_labelers_assignment, POST=ITS_LABELER),
    "labeler_home": row(GET=LABELERS),
    "hours": row(GET=allowed("labeler", "other", "admin")),
    "hours_csv": row(GET=ADMINS),
    # The API
    "api_schema": row(nothing, GET=api(SIGNED_IN)),
    "api_claim": row(POST=api(LABELERS)),
    "api_history": row(GET=api(LABELERS)),
    "api_agreement": row(GET=api(STAFF)),
    # Nobody here: this project does not show labelers their agreement.
    "api_own_agreement": row(GET=api(allowed())),
    "api_changes": row(GET=api(ADMINS)),
    "api_archive": row(POST=api(ADMINS)),
    "api_reopen": row(POST=api(ADMINS)),
    # Whoever copies must be a site admin as well.
    "api_clone": row(POST=api(allowed())),
    "api_datasets": row(GET=api(STAFF), POST=api(STAFF)),
    "api_dataset_matching": row(GET=api(STAFF)),
    "api_dataset": row(a_dataset, GET=api(STAFF)),
    "api_dataset_diff": row(a_dataset, GET=api(STAFF)),
    "api_dataset_rankings": row(a_dataset, GET=api(STAFF)),
    "api_dataset_file": row(
        a_dataset_file,
        GET=api(HIDDEN_FROM_LABELERS),
        POST=api(HIDDEN_FROM_LABELERS),
    ),
    "api_freeze": row(a_freeze, GET=api(STAFF)),
    "api_cancel_freeze": row(a_freeze, POST=api(STAFF)),
    "api_cancel_export": row(an_export, POST=api(HIDDEN_FROM_LABELERS)),
    "api_imports": row(GET=api(ADMINS), POST=api(ADMINS)),
    "api_import_file": row(a_file, GET=api(ADMINS), POST=api(ADMINS)),
    "api_scored_files": row(GET=api(STAFF), POST=api(STAFF)),
    "api_scored_file": row(a_scored_file, GET=api(STAFF)),
    "api_scored_rewards": row(its_rewards, GET=api(STAFF)),
    "api_discard_scored_file": row(a_scored_file, POST=api(STAFF)),
    "api_undo_import": row(an_import, GET=api(ADMINS), POST=api(ADMINS)),
    "api_take_down": row(POST=api(ADMINS)),
    "api_forget": row(POST=api(ADMINS)),
    "api_draft": row(the_labelers_token, PUT=api(ITS_LABELER_BY_TOKEN)),
    "api_heartbeat": row(the_labelers_token, POST=api(ITS_LABELER_BY_TOKEN)),
    "api_release": row(the_labelers_token, POST=api(ITS_LABELER_BY_TOKEN)),
    "api_skip": row(the_labelers_token, POST=api(ITS_LABELER_BY_TOKEN)),
    "api_submit": row(the_labelers_token, POST=api(ITS_LABELER_BY_TOKEN)),
    "api_compare": row(the_labelers_token, GET=api(ITS_LABELER_BY_TOKEN)),
    "training_feedback": row(a_training_answer, GET=ITS_LABELER),
    "labelers": row(GET=ADMINS),
    "labelers_csv": row(GET=ADMINS),
    "labeler_card": row(the_labelers_membership, GET=ADMINS),
    "labeler_card_csv": row(a_card_file, GET=ADMINS),
    "labeler_card_figure": row(a_card_figure, GET=ADMINS),
    "prompt_consensus": row(a_prompt, GET=STAFF),
    "qualification": row(GET=ADMINS, POST=ADMINS),
    "rank_skip": row(the_labelers_assignment, POST=ITS_LABELER),
    # Prompts and rankings from files
    "prompts": row(GET=ADMINS),
    "prompt": row(a_prompt, GET=ADMINS),
    "take_prompt_out": row(a_prompt, POST=ADMINS),
    "restore_prompt": row(a_prompt, POST=ADMINS),
    "take_prompt_down": row(a_prompt, GET=ADMINS, POST=ADMINS),
    "forget_labeler": row(the_labelers_membership, GET=ADMINS, POST=ADMINS),
    "imports": row(GET=ADMINS),
    "undo_import": row(an_import, GET=ADMINS, POST=ADMINS),
    "file_imports": row(GET=ADMINS, POST=ADMINS),
    "file_import": row(a_file, GET=ADMINS),
    "file_import_live": row(a_file, GET=ADMINS),
    "start_file_import": row(a_file, POST=ADMINS),
    "discard_file_import": row(a_file, POST=ADMINS),
    "file_import_csv": row(a_file, GET=ADMINS),
    "file_import_json": row(a_file, GET=ADMINS),
    # Agreement and datasets
    "agreement": row(GET=STAFF),
    "overview": row(GET=STAFF),
    "agreement_pictures": row(GET=STAFF),
    "habits": row(GET=STAFF),
    "disagreement": row(GET=STAFF),
    "dashboard_csv": row(a_picture, GET=STAFF),
    "dashboard_figure": row(a_dashboard_figure, GET=STAFF),
    "datasets": row(GET=STAFF),
    "freeze_dataset": row(POST=STAFF),
    "dataset_matching": row(GET=STAFF),
    "freezes": row(GET=STAFF),
    "cancel_freeze": row(a_freeze, POST=STAFF),
    "dataset_diff": row(a_dataset, GET=STAFF),
    "dataset_runs": row(a_dataset, GET=STAFF),
    "trained_on": row(GET=STAFF),
    "dataset": row(a_dataset, GET=STAFF),
    "choose_dataset_file": row(a_dataset, GET=HIDDEN_FROM_LABELERS),
    "dataset_file": row(
        a_dataset_file, GET=HIDDEN_FROM_LABELERS, POST=HIDDEN_FROM_LABELERS
    ),
    "dataset_exports": row(a_dataset, GET=HIDDEN_FROM_LABELERS),
    "export_live": row(an_export, GET=HIDDEN_FROM_LABELERS),
    "cancel_export": row(an_export, POST=HIDDEN_FROM_LABELERS),
    # Training runs and reward models
    "runs": row(GET=STAFF),
    "retrain": row(POST=STAFF),
    "compare_runs": row(GET=STAFF),
    "compare_figure": row(a_comparison_figure, GET=STAFF),
    "api_runs": row(GET=api(STAFF), POST=api(STAFF)),
    "api_run": row(a_run, GET=api(STAFF)),
    "api_cancel_run": row(a_run, POST=api(STAFF)),
    "api_continue_run": row(a_run, POST=api(STAFF)),
    "api_models": row(GET=api(STAFF)),
    "api_use_model": row(a_model, POST=api(STAFF)),
    "retraining": row(GET=STAFF, POST=STAFF),
    "run": row(a_run, GET=STAFF),
    "run_live": row(a_run, GET=STAFF),
    "cancel_run": row(a_run, POST=STAFF),
    "continue_run": row(a_run, POST=STAFF),
    "run_again": row(a_run, POST=STAFF),
    "run_metrics": row(a_run, GET=STAFF),
    "run_figure": row(a_figure, GET=STAFF),
    "use_model": row(a_model, POST=STAFF),
    "evaluation_json": row(an_evaluated_run, GET=STAFF),
    "evaluation_csv": row(an_exhibit, GET=STAFF),
    "evaluation_figure": row(an_exhibits_figure, GET=STAFF),
    "scored_files": row(GET=STAFF, POST=STAFF),
    "scored_file": row(a_scored_file, GET=STAFF),
    "scored_file_live": row(a_scored_file, GET=STAFF),
    "scored_rewards": row(its_rewards, GET=STAFF),
    "discard_scored_file": row(a_scored_file, POST=STAFF),
}

# --- The tests --------------------------------------------------------------------


def addresses(
    patterns: list[URLPattern | URLResolver], prefix: str = ""
) -> Iterator[tuple[str, str | None]]:
    """(route, name) of every address of the site."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, route)
        else:
            yield route, pattern.name


SITE = list(addresses(get_resolver().url_patterns))


def test_every_address_has_a_name_of_its_own() -> None:
    names = [name for _, name in SITE]
    assert None not in names, [route for route, name in SITE if name is None]
    assert len(set(names)) == len(names)


def test_every_address_has_a_row_and_every_row_an_address() -> None:
    names = {name for _, name in SITE}
    assert names - set(ROWS) == set(), "addresses that nobody decided about"
    assert set(ROWS) - names == set(), "rows of addresses that are gone"


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", sorted(ROWS))
def test_everybody_meets_what_the_row_says(cast: Cast, name: str) -> None:
    row = ROWS[name]
    address = reverse(name, kwargs=dict(row.points_at(cast)))
    browsers = {actor: browser_of(cast.user(actor)) for actor in ACTORS}
    surprises = []
    for verb in VERBS:
        # Who gets in comes last: what they change must not decide about the others.
        answers = sorted(row.expected(verb).items(), key=lambda pair: pair[1] is IN)
        for actor, expected in answers:
            response = browsers[actor].generic(verb, address)
            surprise = wrong(response, expected, cast.project)
            finish(response)
            if surprise:
                surprises.append(f"{actor}: {verb} {address} {surprise}")
    assert not surprises, "\n".join(surprises)


def finish(response: HttpResponseBase) -> None:
    """Close an answer's files as a web server does, but not the test's connection."""
    request_finished.disconnect(close_old_connections)
    response.close()
    request_finished.connect(close_old_connections)


def wrong(
    response: HttpResponseBase, expected: frozenset[int], project: Project
) -> str | None:
    """What is wrong with an answer: its status, or that a refusal tells something."""
    status = response.status_code
    if status not in expected:
        return f"gave {status}, not {sorted(expected)}"
    if expected is TO_LOGIN and not response["Location"].startswith(LOGIN):
        return f"led to {response['Location']}"
    if expected is not IN and project.title.encode() in response.getvalue():
        return "named the project in its refusal"
    return None
