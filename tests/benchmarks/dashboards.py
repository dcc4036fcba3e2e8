"""What the dashboards cost at 33,000 prompts with nine responses, three labelers each.

CPU is that of this process and of all of Postgres for one request, the signed-in page
from its address to its HTML; statements are counted. The same project as that of the
report's benchmark, with its summary rows.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, Final

from django.core.management import call_command
from django.db import connection
from django.test import Client

from annotation.accounts import account_of
from annotation.models import Membership, Project, Role
from tests.benchmarks.figures import Figure, table
from tests.benchmarks.reports import Books, build, postmaster

NAME: Final = "dashboards"
MOST_STATEMENTS: Final = 15
MOST_MILLISECONDS: Final = 300.0
PAGES: Final = (
    *("dashboard/", "dashboard/agreement/", "dashboard/habits/"),
    *("dashboard/disagreement/", "labelers/"),
)


def measure(prompts: int, rounds: int) -> None:
    """Build, measure, print; exits with 1 when a bar is missed."""
    call_command("migrate", verbosity=0)
    project = build(prompts)
    browser = _admin(project)
    books = Books(postmaster(), time.process_time)
    figures = [
        figure
        for page in PAGES
        for figure in _of_page(browser, f"/p/{project.slug}/{page}", books, rounds)
    ]
    print(table(figures), flush=True)
    sys.exit(any(figure.missed for figure in figures))


def _admin(project: Project) -> Client:
    user, _ = account_of("admin@report.example")
    Membership.objects.create(project=project, user=user, name="admin", role=Role.ADMIN)
    browser = Client(headers={"host": "127.0.0.1"})
    browser.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    return browser


def _of_page(browser: Client, address: str, books: Books, rounds: int) -> list[Figure]:
    look: Callable[[], object] = lambda: _open(browser, address)  # noqa: E731
    look()  # what is made once by a process is not counted
    count = _statements(look)
    costs = [sum(books.cost(look)) for _ in range(rounds)]
    return [
        Figure(
            benchmark=NAME,
            what=f"statements, {address}",
            rounds=[count],
            unit="",
            at_most=MOST_STATEMENTS,
        ),
        Figure(
            benchmark=NAME,
            what=f"CPU, {address}",
            rounds=costs,
            unit="ms",
            at_most=MOST_MILLISECONDS,
        ),
    ]


def _statements(look: Callable[[], object]) -> int:
    """How many the page sends, by whatever connection."""
    sent: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        sent.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        look()
    return len(sent)


def _open(browser: Client, address: str) -> None:
    assert browser.get(address).status_code == 200
