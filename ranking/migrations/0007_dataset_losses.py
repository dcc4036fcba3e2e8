"""What a dataset lost; and rankings may lose words, where a text or a person had to go."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION ranking_loses_words() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    words text[] := ARRAY['note', 'telemetry'];
BEGIN
    IF TG_TABLE_NAME = 'ranking_refusedsubmission' THEN words := ARRAY['content']; END IF;
    IF TG_OP = 'UPDATE'
        AND to_jsonb(NEW) - words = to_jsonb(OLD) - words
        AND NOT EXISTS (
            SELECT FROM jsonb_each(to_jsonb(NEW))
            WHERE key = ANY (words) AND value NOT IN ('""', '{}'))
        AND annotation_words_may_go(OLD.assignment_id)
    THEN RETURN NEW; END IF;
    RAISE EXCEPTION '% is append-only: a correction is a new revision', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

DROP TRIGGER rankings_are_append_only ON ranking_ranking;
CREATE TRIGGER rankings_are_append_only BEFORE UPDATE OR DELETE ON ranking_ranking
    FOR EACH ROW EXECUTE FUNCTION ranking_loses_words();
DROP TRIGGER refusals_are_append_only ON ranking_refusedsubmission;
CREATE TRIGGER refusals_are_append_only
    BEFORE UPDATE OR DELETE ON ranking_refusedsubmission
    FOR EACH ROW EXECUTE FUNCTION ranking_loses_words();
CREATE TRIGGER losses_stay BEFORE UPDATE OR DELETE ON ranking_datasetloss
    FOR EACH ROW EXECUTE FUNCTION ranking_is_append_only();
"""

BACKWARD = """
DROP TRIGGER losses_stay ON ranking_datasetloss;
DROP TRIGGER refusals_are_append_only ON ranking_refusedsubmission;
CREATE TRIGGER refusals_are_append_only
    BEFORE UPDATE OR DELETE ON ranking_refusedsubmission
    FOR EACH ROW EXECUTE FUNCTION ranking_is_append_only();
DROP TRIGGER rankings_are_append_only ON ranking_ranking;
CREATE TRIGGER rankings_are_append_only BEFORE UPDATE OR DELETE ON ranking_ranking
    FOR EACH ROW EXECUTE FUNCTION ranking_is_append_only();
DROP FUNCTION ranking_loses_words();
"""


class Migration(migrations.Migration):

    dependencies = [
        ("annotation", "0012_tombstones"),
        ("ranking", "0006_prompt_summaries"),
    ]

    operations = [
        migrations.CreateModel(
            name="DatasetLoss",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reason", models.CharField(max_length=300)),
                ("lost_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ("dataset", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="losses", to="ranking.dataset")),
                ("labeler", models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="annotation.membership")),
                ("prompt", models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="annotation.prompt")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("dataset", "prompt"), name="a_dataset_loses_a_prompt_once"),
                    models.UniqueConstraint(fields=("dataset", "labeler"), name="a_dataset_loses_a_labeler_once"),
                    models.CheckConstraint(condition=models.Q(("prompt__isnull", True), ("labeler__isnull", True), _connector="XOR"), name="a_loss_is_of_a_prompt_or_a_labeler"),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
