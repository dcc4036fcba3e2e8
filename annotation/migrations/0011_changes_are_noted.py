"""Projects can be closed; and who changed what is noted by triggers.

A trigger that watches columns runs only for an UPDATE that names one of them, so the
queue's own writes (a labeler's cursor, the queue's version) pass without a look. Who is
at work, `annotation.changes.acting` tells the connection.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

FUNCTION = """
CREATE FUNCTION annotation_note_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    the_kind text := TG_ARGV[0];
    the_subject text := TG_ARGV[1];
    watched text[] := string_to_array(TG_ARGV[2], ' ');
    was jsonb := '{}';
    becomes jsonb := '{}';
    it jsonb;
    who text := nullif(current_setting('rankwell.acting', true), '');
    the_project bigint;
BEGIN
    IF TG_OP <> 'INSERT' THEN was := to_jsonb(OLD); END IF;
    IF TG_OP <> 'DELETE' THEN becomes := to_jsonb(NEW); END IF;
    it := was || becomes;
    the_project := CASE
        WHEN the_kind = 'project' THEN (it ->> 'id')::bigint
        WHEN it ? 'project_id' THEN (it ->> 'project_id')::bigint
        WHEN it ? 'labeler_id' THEN (
            SELECT project_id FROM annotation_membership
            WHERE id = (it ->> 'labeler_id')::bigint)
        ELSE (
            SELECT project_id FROM annotation_prompt
            WHERE id = (it ->> 'prompt_id')::bigint)
    END;
    -- Commands say in the row itself for whom they act, if for anybody.
    IF TG_OP = 'INSERT' THEN
        who := coalesce(who, it ->> 'created_by_id', it ->> 'rejected_by_id');
    END IF;
    INSERT INTO annotation_change
        (project_id, kind, action, subject_id, by_id, before, after)
    SELECT the_project, the_kind,
        CASE TG_OP WHEN 'INSERT' THEN 'made' WHEN 'UPDATE' THEN 'changed'
            ELSE 'ended' END,
        (it ->> the_subject)::bigint, who::bigint, differs.before, differs.after
    FROM (
        SELECT
            coalesce(jsonb_object_agg(name, was -> name)
                FILTER (WHERE was ? name), '{}') AS before,
            coalesce(jsonb_object_agg(name, becomes -> name)
                FILTER (WHERE becomes ? name), '{}') AS after
        FROM unnest(watched) name
        WHERE was -> name IS DISTINCT FROM becomes -> name) differs
    WHERE TG_OP <> 'UPDATE' OR differs.after <> '{}';
    RETURN NULL;
END $$;
CREATE TRIGGER changes_stay BEFORE UPDATE OR DELETE ON annotation_change
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
"""

PROJECT = (
    "slug title archive closed_at overlap overlap_fraction lease_minutes"
    " labelers_see_agreement rate_first flags show_word_counts bad_prompt_votes"
    " editable_rankings editable_minutes gold_fraction repeat_fraction"
    " qualification_threshold sft_model k_min k_max temperature top_p max_new_tokens"
    " seed"
)
MEMBER = "role paused_at qualification"
# Table, kind, column of the subject, watched columns, operations, condition.
WATCHED = [
    ("project", "project", "id", PROJECT, "INSERT OR UPDATE", ""),
    # Imported labelers, who come by the hundred with their rankings, are no decision.
    ("membership", "member", "id", MEMBER, "INSERT", "WHEN (NEW.user_id IS NOT NULL)"),
    ("membership", "member", "id", MEMBER, "UPDATE", ""),
    ("membership", "member", "id", MEMBER, "DELETE", "WHEN (OLD.user_id IS NOT NULL)"),
    ("instructions", "instructions", "id", "version", "INSERT", ""),
    ("terms", "terms", "id", "version", "INSERT", ""),
    ("promptrejection", "prompt", "prompt_id", "reason", "INSERT OR DELETE", ""),
]


def _trigger(table, kind, subject, columns, operations, condition):
    name = f"{table}_{operations.split()[0].lower()}s_are_noted"
    named = ", ".join(columns.split())
    operations = operations.replace("UPDATE", f"UPDATE OF {named}")
    made = (
        f"CREATE TRIGGER {name} AFTER {operations} ON annotation_{table}"
        f" FOR EACH ROW {condition} EXECUTE FUNCTION"
        f" annotation_note_change('{kind}', '{subject}', '{columns}')"
    )
    return migrations.RunSQL(made, f"DROP TRIGGER {name} ON annotation_{table}")


class Migration(migrations.Migration):

    dependencies = [
        ("annotation", "0010_revoked_memberships"),
    ]

    operations = [
        migrations.AddField(
            model_name="project",
            name="closed_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(choices=[("project", "Project and settings"), ("member", "Members"), ("instructions", "Instructions"), ("terms", "Terms"), ("prompt", "Prompts")], max_length=20)),
                ("action", models.CharField(choices=[("made", "Made"), ("changed", "Changed"), ("ended", "Ended")], max_length=10)),
                ("subject_id", models.BigIntegerField()),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ("before", models.JSONField()),
                ("after", models.JSONField()),
                ("by", models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("project", models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, to="annotation.project")),
            ],
            options={
                "indexes": [models.Index(fields=["project", "-id"], name="change_newest_first")],
                "constraints": [models.CheckConstraint(condition=models.Q(("kind__in", ["project", "member", "instructions", "terms", "prompt"]), ("action__in", ["made", "changed", "ended"])), name="change_words_are_known")],
            },
        ),
        migrations.RunSQL(
            FUNCTION,
            "DROP TRIGGER changes_stay ON annotation_change;"
            " DROP FUNCTION annotation_note_change();",
        ),
        *(_trigger(*watched) for watched in WATCHED),
    ]
