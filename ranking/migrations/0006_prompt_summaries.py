"""One row for each ranked prompt, which the dashboards sum.

What was ranked before gets its rows in the migration that changed the columns last.
"""

import django.db.models.deletion
from django.db import migrations, models


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
    ]
