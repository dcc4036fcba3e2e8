"""A project whose prompts are ranked once each, with texts as long as real ones."""

import random
from typing import Final

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from annotation.models import Project
from tests.benchmarks.material import text_of
from tests.simulated_labelers import Labeler, Setting, simulate
from tests.stored_simulation import store

K: Final = 9
PROMPT_CHARACTERS, RESPONSE_CHARACTERS = 340, 680


def ranked_project(slug: str, prompts: int) -> Project:
    """So many prompts with nine responses, ranked without ties by forty labelers."""
    setting = Setting(
        prompts=prompts,
        labelers=tuple(Labeler(name=f"labeler{n:02}", tie_width=0) for n in range(40)),
        overlap=1,
        ks=(K,),
        tags={"long": 0.5, "code": 0.2},
    )
    project = Project.objects.create(slug=slug, title=slug.capitalize())
    store(project, simulate(setting, seed=3), checked=False)
    _write_texts(project)
    return project


def tidy() -> None:
    """As autovacuum would have it within the hour."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (FULL, ANALYZE)")


def _write_texts(project: Project) -> None:
    """Give every prompt and response a text of its own, as long as real ones."""
    rng = random.Random(3)
    ids = "SELECT id FROM annotation_prompt WHERE project_id = %s"
    texts = (
        ("annotation_prompt", "messages", ids, PROMPT_CHARACTERS),
        (
            "annotation_response",
            "text",
            f"SELECT id FROM annotation_response WHERE prompt_id IN ({ids})",
            RESPONSE_CHARACTERS,
        ),
    )
    for name, column, which, size in texts:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(which, [project.pk])
            keys = [key for (key,) in cursor.fetchall()]
            kind = "jsonb" if column == "messages" else "text"
            cursor.execute(f"CREATE TEMP TABLE told (id bigint, said {kind})")
            with cursor.copy("COPY told (id, said) FROM STDIN") as told:
                for key in keys:
                    text = text_of(size, rng)
                    turn = [{"role": "user", "content": text}]
                    told.write_row((key, Jsonb(turn) if kind == "jsonb" else text))
            cursor.execute(
                f"UPDATE {name} SET {column} = told.said FROM told"
                f" WHERE {name}.id = told.id"
            )
            cursor.execute("DROP TABLE told")
