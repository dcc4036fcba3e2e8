"""For each address that writes, a body with which it does write."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from django.core.files.uploadedfile import SimpleUploadedFile

from annotation.models import Terms
from rm_training.registry import retraining_of
from rm_training.retraining_form import RetrainingForm
from tests.conftest import make_prompt
from tests.test_access_matrix import Cast

RANKS = {"A": 1, "B": 2, "C": 2, "D": 3}
Place = Mapping[str, Any]
Body = dict[str, Any]

A_PROMPT = (
    b'{"id": "new", "prompt": "Why?", "responses": ['
    b'{"id": "a", "text": "1"}, {"id": "b", "text": "2"},'
    b' {"id": "c", "text": "3"}, {"id": "d", "text": "4"}]}\n'
)
SETTINGS = {
    "title": "Tides",
    "flags": "wrong",
    "lease_minutes": "31",
    "bad_prompt_votes": "2",
    "editable_rankings": "5",
    "editable_minutes": "60",
    "gold_fraction": "0",
    "repeat_fraction": "0",
}
PROJECT = {"title": "New", "slug": "new", "overlap": "1", "overlap_fraction": "1"}
MEMBER = {"email": "carol@example.org", "name": "Carol", "role": "labeler"}


def _terms(cast: Cast, place: Place) -> Body:
    Terms.objects.create(project=cast.project, version=1, text="Be kind.")
    return {"version": "1"}


def _ranking_form(cast: Cast, place: Place) -> Body:
    tiers = {f"tier_{letter}": str(tier) for letter, tier in RANKS.items()}
    return {"submission_uuid": str(uuid4()), **tiers}


def _submission(cast: Cast, place: Place) -> Body:
    return {"submission_uuid": str(uuid4()), "ranks": RANKS}


def _a_file(cast: Cast, place: Place) -> Body:
    return {"file": SimpleUploadedFile("prompts.jsonl", A_PROMPT)}


def _prompt_and_reason(cast: Cast, place: Place) -> Body:
    return {"prompt": make_prompt(cast.project).external_id, "reason": "A name."}


def _retraining(cast: Cast, place: Place) -> Body:
    """What the form shows, as it comes, with another number of rankings."""
    form = RetrainingForm(settings=retraining_of(cast.project))
    shown = {
        name: form.get_initial_for_field(form.fields[name], name)
        for name in form.fields
    }
    filled = {
        name: value
        for name, value in shown.items()
        if value is not None and value is not False
    }
    return filled | {"every_rankings": 600}


def _always(**body: Any) -> Callable[[Cast, Place], Body]:
    return lambda cast, place: dict(body)


FORMS: dict[str, Callable[[Cast, Place], Body]] = {
    "make_token": _always(days="1"),
    "begin_second_factor": _always(),
    "time_zone": _always(time_zone="Europe/Paris"),
    "create_project": _always(**PROJECT, lease_minutes="30"),
    "add_instructions": _always(text="Be fairer."),
    "project_settings": _always(**SETTINGS),
    "qualification": _always(qualification_threshold=""),
    "project_overlap": _always(overlap="3", fraction="1", confirmed="on"),
    "archive_project": _always(),
    "agree": _terms,
    "add_terms": _always(text="Be kind."),
    "report_problem": _always(text="It is cut off."),
    "answer_report": lambda cast, place: {f"{place['pk']}-answer": "Mended."},
    "add_member": _always(**MEMBER),
    "fresh_link": _always(),
    "remove_member": _always(),
    "pause_member": _always(),
    "withdraw_labeler": _always(reason="Careless work."),
    "decide_qualification": _always(decision="passed"),
    "rank_claim": _always(),
    "rank_prefetch": _always(),
    "rank_prompt": _ranking_form,
    "rank_renew": _always(),
    "rank_release": _always(),
    "rank_skip": _always(reason="bad_prompt"),
    "take_prompt_out": _always(reason="A double."),
    "take_prompt_down": _always(reason="A name.", confirmed="p1"),
    "undo_import": _always(),
    "file_imports": lambda cast, place: {**_a_file(cast, place), "shape": "prompts"},
    "cancel_run": _always(),
    "cancel_freeze": _always(),
    "cancel_export": _always(),
    "retraining": _retraining,
}
JSON: dict[str, Callable[[Cast, Place], Body]] = {
    "api_archive": _always(),
    "api_undo_import": _always(),
    "api_take_down": _prompt_and_reason,
    "api_cancel_freeze": _always(),
    "api_cancel_export": _always(),
    "api_cancel_run": _always(),
    "api_claim": _always(),
    "api_draft": _always(rev=0, ranks=RANKS),
    "api_heartbeat": _always(),
    "api_release": _always(),
    "api_skip": _always(reason="bad_prompt"),
    "api_submit": _submission,
}
# What writes nothing in the state that the table of addresses makes, what is not ours
# to offer fields for, or what is there to change what nobody else may (who is
# forgotten): only sent a wrong body, which must change nothing.
NOTHING_TO_WRITE = {
    *("sign_in_link", "account_login", "account_logout", "account_change_password"),
    *("account_set_password", "account_reset_password", "revoke_token"),
    *("account_reset_password_from_key", "start_generation", "cancel_generation"),
    *(
        "resume_member",
        "reinstate_labeler",
        "restore_prompt",
        "freeze_dataset",
    ),
    *("retrain", "use_model", "api_runs", "api_use_model"),
    *("continue_run", "run_again", "api_continue_run"),  # buttons of a run that ended
    *("account_reauthenticate", "mfa_reauthenticate"),
    *("mfa_authenticate", "confirm_second_factor", "make_recovery_codes"),
    *("remove_second_factor", "rescue", "change_member_role", "revoke_member_token"),
    *("reopen_project", "clone_project", "forget_labeler"),
    *("api_reopen", "api_clone", "api_forget", "api_datasets"),
    *("start_file_import", "discard_file_import"),  # forms of a button each
    *("dataset_file", "api_dataset_file"),  # no body: the address says it all
    *("api_imports", "api_import_file"),  # the body is the file, whatever it holds
    *("scored_files", "api_scored_files"),
    *("discard_scored_file", "api_discard_scored_file"),
}
