"""An import is a thing of its own, and what nobody was shown of it can go again."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION annotation_unshown_may_go() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was jsonb := to_jsonb(OLD);
BEGIN
    IF EXISTS (
        SELECT FROM annotation_prompt p
        JOIN annotation_promptimport i ON i.id = p.came_with_id
        WHERE p.id = coalesce(was ->> 'prompt_id', was ->> 'id')::bigint
          AND i.undone_at IS NOT NULL
          AND NOT EXISTS (
            SELECT FROM annotation_assignment a WHERE a.prompt_id = p.id))
    THEN RETURN OLD; END IF;
    RAISE EXCEPTION '% never changes: make a new one', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER prompts_stay ON annotation_prompt;
CREATE TRIGGER prompts_stay BEFORE DELETE ON annotation_prompt
    FOR EACH ROW EXECUTE FUNCTION annotation_unshown_may_go();
DROP TRIGGER responses_stay ON annotation_response;
CREATE TRIGGER responses_stay BEFORE DELETE ON annotation_response
    FOR EACH ROW EXECUTE FUNCTION annotation_unshown_may_go();

CREATE TRIGGER promptimport_inserts_are_noted AFTER INSERT ON annotation_promptimport
    FOR EACH ROW EXECUTE FUNCTION
    annotation_note_change('import', 'id', 'file_name');
CREATE TRIGGER promptimport_undoings_are_noted
    AFTER UPDATE OF removed ON annotation_promptimport
    FOR EACH ROW EXECUTE FUNCTION
    annotation_note_change('import', 'id', 'removed taken_out');
"""

BACKWARD = """
DROP TRIGGER promptimport_undoings_are_noted ON annotation_promptimport;
DROP TRIGGER promptimport_inserts_are_noted ON annotation_promptimport;
DROP TRIGGER responses_stay ON annotation_response;
CREATE TRIGGER responses_stay BEFORE DELETE ON annotation_response
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
DROP TRIGGER prompts_stay ON annotation_prompt;
CREATE TRIGGER prompts_stay BEFORE DELETE ON annotation_prompt
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
DROP FUNCTION annotation_unshown_may_go();
"""
KINDS = ["project", "member", "instructions", "terms", "prompt", "takedown", "import"]


class Migration(migrations.Migration):

    dependencies = [
        ("annotation", "0012_tombstones"),
    ]

    operations = [
        migrations.CreateModel(
            name="PromptImport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("file_name", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ("imported", models.PositiveIntegerField(default=0)),
                ("unchanged", models.PositiveIntegerField(default=0)),
                ("refused", models.PositiveIntegerField(default=0)),
                ("undone_at", models.DateTimeField(null=True)),
                ("removed", models.PositiveIntegerField(null=True)),
                ("taken_out", models.PositiveIntegerField(null=True)),
                ("created_by", models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("project", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="annotation.project")),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("undone_at__isnull", False), models.Q(("removed__isnull", True), ("taken_out__isnull", True)), _connector="OR"), name="what_was_undone_is_counted_then")],
            },
        ),
        migrations.AddField(
            model_name="prompt",
            name="came_with",
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="annotation.promptimport"),
        ),
        migrations.AlterField(
            model_name="change",
            name="kind",
            field=models.CharField(choices=[("project", "Project and settings"), ("member", "Members"), ("instructions", "Instructions"), ("terms", "Terms"), ("prompt", "Prompts taken out"), ("takedown", "Prompts taken down"), ("import", "Imports")], max_length=20),
        ),
        migrations.RemoveConstraint(model_name="change", name="change_words_are_known"),
        migrations.AddConstraint(
            model_name="change",
            constraint=models.CheckConstraint(condition=models.Q(("kind__in", KINDS), ("action__in", ["made", "changed", "ended"])), name="change_words_are_known"),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
