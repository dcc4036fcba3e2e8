"""A prompt is taken down, a labeler is forgotten: the one way in which texts may go.

What kept every text as it is still does, unless a row says that this one is to go, and
then it may only become the tombstone.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

FORWARD = """
DROP TRIGGER responses_never_change ON annotation_response;
DROP TRIGGER prompts_keep_their_text ON annotation_prompt;

CREATE FUNCTION annotation_text_is_taken_down() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was jsonb := to_jsonb(OLD);
    becomes jsonb := to_jsonb(NEW);
BEGIN
    IF TG_TABLE_NAME = 'annotation_response'
        -- A generated column is NULL in NEW until all BEFORE triggers have run.
        AND becomes - 'text' - 'params' - 'characters'
            = was - 'text' - 'params' - 'characters'
        AND becomes ->> 'text' = '[taken down]' AND becomes -> 'params' = '{}'
        AND EXISTS (SELECT FROM annotation_takedown
                    WHERE prompt_id = (was ->> 'prompt_id')::bigint)
    THEN RETURN NEW; END IF;
    IF TG_TABLE_NAME = 'annotation_prompt'
        AND becomes -> 'external_id' = was -> 'external_id'
        AND becomes -> 'project_id' = was -> 'project_id'
        AND becomes -> 'messages' = '[{"role": "user", "content": "[taken down]"}]'
        AND EXISTS (SELECT FROM annotation_takedown
                    WHERE prompt_id = (was ->> 'id')::bigint)
    THEN RETURN NEW; END IF;
    RAISE EXCEPTION '% never changes: make a new one', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER responses_never_change BEFORE UPDATE ON annotation_response
    FOR EACH ROW EXECUTE FUNCTION annotation_text_is_taken_down();
CREATE TRIGGER responses_stay BEFORE DELETE ON annotation_response
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
CREATE TRIGGER prompts_keep_their_text
    BEFORE UPDATE OF messages, external_id, project_id ON annotation_prompt
    FOR EACH ROW
    WHEN ((OLD.messages, OLD.external_id, OLD.project_id)
          IS DISTINCT FROM (NEW.messages, NEW.external_id, NEW.project_id))
    EXECUTE FUNCTION annotation_text_is_taken_down();
CREATE TRIGGER takedowns_stay BEFORE UPDATE OR DELETE ON annotation_takedown
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();

CREATE FUNCTION annotation_taken_down_stays_out() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM annotation_takedown WHERE prompt_id = OLD.prompt_id) THEN
        RAISE EXCEPTION 'a prompt that was taken down stays out'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER taken_down_stays_out BEFORE DELETE ON annotation_promptrejection
    FOR EACH ROW EXECUTE FUNCTION annotation_taken_down_stays_out();

-- Whether what somebody wrote to an assignment of theirs is to go.
CREATE FUNCTION annotation_words_may_go(the_assignment bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM annotation_assignment a
        JOIN annotation_membership m ON m.id = a.labeler_id
        WHERE a.id = the_assignment AND (m.forgotten_at IS NOT NULL OR EXISTS (
            SELECT FROM annotation_takedown t WHERE t.prompt_id = a.prompt_id)))
$$;
CREATE FUNCTION annotation_skip_loses_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE'
        AND to_jsonb(NEW) - 'text' = to_jsonb(OLD) - 'text'
        AND NEW.text IN ('', '[taken down]')
        AND annotation_words_may_go(OLD.assignment_id)
    THEN RETURN NEW; END IF;
    RAISE EXCEPTION '% never changes: make a new one', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER skips_never_change ON annotation_skip;
CREATE TRIGGER skips_never_change BEFORE UPDATE OR DELETE ON annotation_skip
    FOR EACH ROW EXECUTE FUNCTION annotation_skip_loses_words();

CREATE TRIGGER takedown_inserts_are_noted AFTER INSERT ON annotation_takedown
    FOR EACH ROW EXECUTE FUNCTION
    annotation_note_change('takedown', 'prompt_id', 'reason');
CREATE TRIGGER membership_forgetting_is_noted
    AFTER UPDATE OF forgotten_at ON annotation_membership
    FOR EACH ROW EXECUTE FUNCTION
    annotation_note_change('member', 'id', 'forgotten_at');
"""

BACKWARD = """
DROP TRIGGER skips_never_change ON annotation_skip;
CREATE TRIGGER skips_never_change BEFORE UPDATE OR DELETE ON annotation_skip
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
DROP FUNCTION annotation_skip_loses_words();
DROP FUNCTION annotation_words_may_go(bigint);
DROP TRIGGER membership_forgetting_is_noted ON annotation_membership;
DROP TRIGGER takedown_inserts_are_noted ON annotation_takedown;
DROP TRIGGER taken_down_stays_out ON annotation_promptrejection;
DROP FUNCTION annotation_taken_down_stays_out();
DROP TRIGGER takedowns_stay ON annotation_takedown;
DROP TRIGGER prompts_keep_their_text ON annotation_prompt;
DROP TRIGGER responses_stay ON annotation_response;
DROP TRIGGER responses_never_change ON annotation_response;
DROP FUNCTION annotation_text_is_taken_down();
CREATE TRIGGER responses_never_change BEFORE UPDATE OR DELETE ON annotation_response
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
CREATE TRIGGER prompts_keep_their_text
    BEFORE UPDATE OF messages, external_id, project_id ON annotation_prompt
    FOR EACH ROW
    WHEN ((OLD.messages, OLD.external_id, OLD.project_id)
          IS DISTINCT FROM (NEW.messages, NEW.external_id, NEW.project_id))
    EXECUTE FUNCTION annotation_is_immutable();
"""
KINDS = ["project", "member", "instructions", "terms", "prompt", "takedown"]


class Migration(migrations.Migration):

    dependencies = [
        ("annotation", "0011_changes_are_noted"),
    ]

    operations = [
        migrations.CreateModel(
            name="Takedown",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reason", models.CharField(max_length=300)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ("created_by", models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("prompt", models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name="takedown", to="annotation.prompt")),
            ],
        ),
        migrations.AddField(
            model_name="membership",
            name="forgotten_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(condition=models.Q(("forgotten_at__isnull", True), ("user__isnull", True), _connector="OR"), name="who_is_forgotten_has_no_account"),
        ),
        migrations.AlterField(
            model_name="change",
            name="kind",
            field=models.CharField(choices=[("project", "Project and settings"), ("member", "Members"), ("instructions", "Instructions"), ("terms", "Terms"), ("prompt", "Prompts taken out"), ("takedown", "Prompts taken down")], max_length=20),
        ),
        migrations.RemoveConstraint(model_name="change", name="change_words_are_known"),
        migrations.AddConstraint(
            model_name="change",
            constraint=models.CheckConstraint(condition=models.Q(("kind__in", KINDS), ("action__in", ["made", "changed", "ended"])), name="change_words_are_known"),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
