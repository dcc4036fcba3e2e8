"""A prompt's summary row says of every ranking when and how fast it was made.

Rows are made anew for all that was ranked before, by the statement of the program that
migrates. Whoever changes that statement's columns moves the filling to their migration.

Each 200 prompts are a transaction of their own, so that people rank meanwhile, and the
columns may be empty until all of them are done: a prompt whose row has been made is not
made again, and a migration that was cut off goes on where it stood. About a minute for
100,000 rankings of nine responses.
"""

from django.db import migrations, models, transaction

from ranking.summary_sql import LOCK, SUMMARIZE

PROMPTS_AT_ONCE = 200
COLUMNS = """
ALTER TABLE ranking_promptsummary
    ADD COLUMN IF NOT EXISTS worked bytea NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS sizes bytea NOT NULL DEFAULT ''
"""
# A ranked prompt of work has a row, and its row has a record of that ranking.
NEXT = """
SELECT DISTINCT assignment.prompt_id
FROM ranking_ranking ranking
JOIN annotation_assignment assignment ON assignment.id = ranking.assignment_id
JOIN annotation_prompt prompt ON prompt.id = assignment.prompt_id
LEFT JOIN ranking_promptsummary summary ON summary.prompt_id = assignment.prompt_id
WHERE prompt.purpose = 'work' AND (summary.worked IS NULL OR summary.worked = '')
ORDER BY 1
"""


def summarize_what_is_there(apps, schema_editor):
    """The lock of a prompt comes a statement before its row, as for a submission."""
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute(NEXT)
        prompts = [prompt for (prompt,) in cursor.fetchall()]
        for start in range(0, len(prompts), PROMPTS_AT_ONCE):
            some = {"prompts": prompts[start : start + PROMPTS_AT_ONCE]}
            with transaction.atomic(using=connection.alias):
                cursor.execute(LOCK, some)
                cursor.execute(SUMMARIZE, some)


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('ranking', '0010_datasets_frozen_by_jobs'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            # Harmless once more, so that the whole may be begun again.
            database_operations=[migrations.RunSQL(COLUMNS, migrations.RunSQL.noop)],
            state_operations=[
                migrations.AddField(
                    model_name='promptsummary',
                    name=name,
                    field=models.BinaryField(db_default=b''),
                )
                for name in ('worked', 'sizes')
            ],
        ),
        migrations.RunPython(summarize_what_is_there, migrations.RunPython.noop),
    ]
