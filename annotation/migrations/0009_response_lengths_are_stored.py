"""Lengths of responses are counted once, and stand in the index with their ids.

Rewrites the table of responses: about a second for each 100 MB of texts.
"""

import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0008_a_session_names_its_account'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='response',
            name='response_ids_differ_within_a_prompt',
        ),
        migrations.AddField(
            model_name='response',
            name='characters',
            field=models.GeneratedField(db_persist=True, expression=django.db.models.functions.text.Length('text'), output_field=models.IntegerField()),
        ),
        migrations.AddConstraint(
            model_name='response',
            constraint=models.UniqueConstraint(fields=('prompt', 'external_id'), include=('id', 'characters'), name='response_ids_differ_within_a_prompt'),
        ),
    ]
