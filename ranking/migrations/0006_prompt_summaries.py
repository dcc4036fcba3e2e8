"""One row for each ranked prompt, which the dashboards sum.

Rows for what was ranked before are made here by the statement of the program that
migrates. Whoever changes that statement's columns moves the filling to their migration.
"""

import django.db.models.deletion
from django.db import migrations, models

from ranking.summary_sql import SUMMARIZE

PROMPTS_AT_ONCE = 200


def summarize_what_is_there(apps, schema_editor):
    """Nobody stores a ranking meanwhile: the table is locked before it is read."""
    ranked = apps.get_model("ranking", "Ranking").objects
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("LOCK TABLE ranking_ranking IN SHARE ROW EXCLUSIVE MODE")
        prompts = sorted(set(ranked.values_list("assignment__prompt", flat=True)))
        for start in range(0, len(prompts), PROMPTS_AT_ONCE):
            some = prompts[start : start + PROMPTS_AT_ONCE]
            cursor.execute(SUMMARIZE, {"prompts": some})


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0009_response_lengths_are_stored'),
        ('ranking', '0005_withdrawals'),
    ]

    operations = [
        migrations.CreateModel(
            name='PromptSummary',
            fields=[
                ('prompt', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, serialize=False, to='annotation.prompt')),
                ('k', models.PositiveSmallIntegerField()),
                ('rankings', models.PositiveIntegerField()),
                ('newest_at', models.DateTimeField()),
                ('judged', models.BinaryField()),
                ('compared', models.BinaryField()),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='annotation.project')),
            ],
        ),
        migrations.RunPython(summarize_what_is_there, migrations.RunPython.noop),
    ]
