"""What a dataset holds is complete when it is made; freezes may be jobs; near-duplicates
are found by fingerprints."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

FORWARD = """
CREATE TRIGGER fingerprints_never_change
    BEFORE UPDATE OR DELETE ON ranking_promptfingerprint
    FOR EACH ROW EXECUTE FUNCTION ranking_is_append_only();

-- A dataset says how many rankings it holds, and holds no more of them: once it is
-- frozen nothing enters it. None of another project ever does.
CREATE FUNCTION ranking_datasets_are_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT dataset_id FROM added) touched
        JOIN ranking_dataset d ON d.id = touched.dataset_id
        WHERE (SELECT count(*) FROM ranking_datasetranking held
               WHERE held.dataset_id = d.id)
            > coalesce((d.counts ->> 'rankings')::bigint, 0))
    THEN
        RAISE EXCEPTION 'a frozen dataset takes nothing more in'
            USING ERRCODE = 'integrity_constraint_violation',
                  CONSTRAINT = 'a_frozen_dataset_is_full';
    END IF;
    IF EXISTS (
        SELECT FROM added
        JOIN ranking_dataset d ON d.id = added.dataset_id
        JOIN ranking_ranking r ON r.id = added.ranking_id
        WHERE r.project_id <> d.project_id)
    THEN
        RAISE EXCEPTION 'a dataset holds rankings of its own project only'
            USING ERRCODE = 'integrity_constraint_violation',
                  CONSTRAINT = 'a_dataset_stays_in_its_project';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER datasets_take_nothing_in AFTER INSERT ON ranking_datasetranking
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ranking_datasets_are_full();
"""

BACKWARD = """
DROP TRIGGER datasets_take_nothing_in ON ranking_datasetranking;
DROP FUNCTION ranking_datasets_are_full();
DROP TRIGGER fingerprints_never_change ON ranking_promptfingerprint;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0014_removals_are_noted'),
        ('ranking', '0009_uploaded_files_are_jobs'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='dataset',
            name='seed',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.CreateModel(
            name='PromptFingerprint',
            fields=[
                ('prompt', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='fingerprint', serialize=False, to='annotation.prompt')),
                ('text_sha256', models.CharField(max_length=64)),
                ('signature', models.BinaryField()),
                ('bands', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
            ],
            options={
                'indexes': [django.contrib.postgres.indexes.GinIndex(fastupdate=False, fields=['bands'], name='near_duplicates_share_a_band')],
            },
        ),
        migrations.CreateModel(
            name='FreezeRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='queued', max_length=10)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('attempt', models.PositiveIntegerField(default=0)),
                ('lost_leases', models.PositiveIntegerField(default=0)),
                ('worker', models.CharField(blank=True, max_length=200)),
                ('lease_until', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('queued_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('filters', models.JSONField()),
                ('seed', models.PositiveIntegerField(default=0)),
                ('prompts_done', models.PositiveIntegerField(default=0)),
                ('prompts_total', models.PositiveIntegerField(default=0)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to=settings.AUTH_USER_MODEL)),
                ('dataset', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to='ranking.dataset')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='annotation.project')),
            ],
            options={
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'running', 'done', 'failed', 'cancelled'])), name='freezerun_state_is_known'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'running'), _negated=True), ('lease_until__isnull', False), _connector='OR'), name='freezerun_running_has_a_lease'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'failed'), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='freezerun_failure_has_a_reason')],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
