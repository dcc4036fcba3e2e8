"""Every page that shows what somebody wrote, and what to look for on it."""

import json
from urllib.parse import urlsplit

import pytest
from django.urls import reverse
from playwright.sync_api import Page

from annotation.models import Membership, Role
from ranking.file_imports import run
from ranking.models import FileImport
from tests.e2e.conftest import Visit
from tests.security.planted import what_came_alive
from tests.security.planted_everywhere import Planted
from tests.test_access_matrix import IN, ROWS, nothing

# Of the project as a whole, or of the site. True: texts of people are in it.
PROJECT_PAGES = {
    "home": True,
    "tokens": False,
    "second_factor": False,
    "confirm_second_factor": False,
    "time_zone": False,
    "account_change_password": False,
    "account_set_password": False,
    "account_logout": False,
    "project": True,
    "instructions": True,
    "project_settings": True,
    "changes": True,
    "clone_project": True,
    "qualification": True,
    "consent": True,
    "reports": True,
    "report_problem": True,
    "generation_progress": True,
    "members": True,
    "rank_unsent": True,
    "labeler_home": True,
    "hours": True,
    "labelers": True,
    "prompts": True,
    "imports": False,
    "file_imports": False,
    "agreement": True,
    "overview": True,
    "agreement_pictures": True,
    "habits": True,
    "disagreement": True,
    "datasets": True,
    "dataset_matching": False,
    "freezes": False,
    "trained_on": False,
    "runs": True,
    "compare_runs": False,
    "retraining": False,
    "scored_files": False,
}
# Of single things: see `places`.
THING_PAGES = {
    *("prompt", "labeler", "dataset", "run", "run_live", "rank_prompt"),
    *("dataset_diff", "dataset_runs"),
    *("training_feedback", "rank", "labeler_card", "withdrawal"),
    "prompt_consensus",
    "member_access",
    *("take_prompt_down", "forget_labeler", "undo_import"),
    *("file_import", "file_import_live"),
    *("scored_file", "scored_file_live"),
}
# Files and data, and pages of people who are not signed in.
NOT_PAGES = {
    *("account_reauthenticate", "mfa_authenticate", "mfa_reauthenticate"),
    *("second_factor_picture", "rescue"),
    *("livez", "readyz", "sign_in_link", "account_login", "account_inactive"),
    *("account_reset_password", "account_reset_password_done"),
    *("account_reset_password_from_key", "account_reset_password_from_key_done"),
    *("hours_csv", "run_metrics", "run_figure"),
    *("choose_dataset_file", "dataset_file", "dataset_exports", "export_live"),
    *("labelers_csv", "labeler_card_csv", "labeler_card_figure"),
    *("dashboard_csv", "dashboard_figure"),
    *("api_schema", "api_history", "api_compare"),
    *("api_agreement", "api_own_agreement"),
    *("api_changes", "api_imports", "api_undo_import", "api_import_file"),
    *("api_datasets", "api_dataset_matching", "api_dataset", "api_dataset_diff"),
    *("api_dataset_rankings", "api_dataset_file", "api_freeze"),
    *("file_import_csv", "file_import_json"),
    *("api_runs", "api_run", "api_models", "compare_figure"),
    *("evaluation_json", "evaluation_csv", "evaluation_figure"),
    *("scored_rewards", "api_scored_files", "api_scored_file", "api_scored_rewards"),
}
CANARY = "__xss"


def places(planted: Planted) -> dict[str, list[list[object]]]:
    """What comes after the project in the addresses of single things."""
    return {
        "prompt": [[prompt.pk] for prompt in planted.prompts],
        "labeler": [[labeler.pk] for labeler in planted.labelers],
        "labeler_card": [[labeler.pk] for labeler in planted.labelers],
        "withdrawal": [[labeler.pk] for labeler in planted.labelers],
        "prompt_consensus": [[prompt.pk] for prompt in planted.prompts],
        "member_access": [[labeler.pk] for labeler in planted.labelers],
        "take_prompt_down": [[prompt.pk] for prompt in planted.prompts],
        "forget_labeler": [[labeler.pk] for labeler in planted.labelers],
        "undo_import": [],
        "file_import": [],
        "file_import_live": [],
        "scored_file": [],
        "scored_file_live": [],
        "dataset": [[planted.dataset.name]],
        "dataset_diff": [[planted.dataset.name]],
        "dataset_runs": [],
        "run": [[planted.run.pk]],
        "run_live": [[planted.run.pk]],
        "rank": [[]],
        "rank_prompt": [[planted.held], [planted.trained]],
        "training_feedback": [[planted.trained]],
    }


def look_through(window: Visit, member: Membership, planted: Planted) -> None:
    """Each page that the member's role may see; some are for forms that say a name."""
    page, site = window.page, window.site
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    asked: list[str] = []
    answers: set[tuple[int, str]] = set()
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda one: answers.add((one.status, urlsplit(one.url).path)))
    role = member.role
    for name, shows in PROJECT_PAGES.items():
        row = ROWS[name]
        if row.answers["GET"][role] is IN:
            place = [] if row.points_at is nothing else [planted.project.slug]
            look_at(window, reverse(name, args=place), shows=shows)
    for name, ends in places(planted).items():
        if role in may_see(name):
            for end in ends:
                address = reverse(name, args=[planted.project.slug, *end])
                look_at(window, address, shows=True)
    if member.role == Role.ADMIN:
        press_what_names_people(window, planted)
        import_problems(window, planted)
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(site).netloc}
    forget_what_was_refused(window, {one for one in answers if one[0] >= 400})


def forget_what_was_refused(window: Visit, refused: set[tuple[int, str]]) -> None:
    """The console names each answer from 400 on: the imports are meant to be refused,
    and what is only a part of a page names no icon."""
    window.wait_for_answers()
    ends = {(422, "import"), (404, "favicon.ico")}
    assert {(code, path.strip("/").split("/")[-1]) for code, path in refused} <= ends
    ours = [said for said in window.said if not said.startswith("Failed to load")]
    window.said[:] = ours


def may_see(name: str) -> set[str]:
    answers = ROWS[name].answers["GET"]
    return {role for role in ("labeler", "researcher", "admin") if answers[role] is IN}


def look_at(window: Visit, address: str, *, shows: bool) -> None:
    check(window.open(address), address, shows=shows)


def check(page: Page, address: str, *, shows: bool) -> None:
    """Nothing came alive, and the texts are there."""
    assert what_came_alive(page) == [], address
    if shows:
        assert CANARY in page.content(), f"{address} shows none of the texts"


def press_what_names_people(window: Visit, planted: Planted) -> None:
    """Messages say whom they are about; some names are enough for one sentence."""
    slug = planted.project.slug
    for labeler in planted.labelers[:3]:
        page = window.open(reverse("labeler", args=[slug, labeler.pk]))
        page.get_by_role("button", name="Pause", exact=True).click()
        page.get_by_role("button", name="Let them go on").wait_for()
        check(page, "paused", shows=True)
    page = window.open(reverse("members", args=[slug]))
    page.get_by_role("button", name="Fresh link").last.click()
    page.locator(".one-time-link").wait_for()
    check(page, "a fresh link", shows=True)


def import_problems(window: Visit, planted: Planted) -> None:
    """A file whose lines are wrong in their own words."""
    texts = [labeler.name for labeler in planted.labelers]
    lines = [{"id": text, text: 1, "prompt": [text]} for text in texts]
    lines += [{"id": text, "prompt": text, "gold": {text: text}} for text in texts]
    for what in ("prompts", "rankings"):
        address = reverse("file_imports", args=[planted.project.slug])
        page = window.open(f"{address}?what={what}")
        page.locator("input[type=file]").set_input_files(
            {
                "name": f"{texts[0][:80]}.jsonl".replace("/", "_"),
                "mimeType": "application/jsonl",
                "buffer": "\n".join(map(json.dumps, lines)).encode(),
            }
        )
        with page.expect_navigation():
            page.locator("main form button[type=submit]").first.click()
        run(FileImport.objects.latest("pk").pk, worker="the test")
        page.reload()
        page.get_by_role("heading", name="Line by line").wait_for()
        check(page, f"a file of {what}", shows=True)
