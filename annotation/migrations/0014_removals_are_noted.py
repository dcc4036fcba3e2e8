"""Who is removed from a project, and let in again, is in the history; and rows of later
rooms may be, too: their triggers say which column tells who did it."""

from django.db import migrations, models

# As migration 0011 has it, but for the fourth argument.
FUNCTION = """
CREATE OR REPLACE FUNCTION annotation_note_change() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    the_kind text := TG_ARGV[0];
    the_subject text := TG_ARGV[1];
    watched text[] := string_to_array(TG_ARGV[2], ' ');
    says_who text := TG_ARGV[3];
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
    IF says_who IS NOT NULL THEN
        who := coalesce(who, becomes ->> says_who);
    ELSIF TG_OP = 'INSERT' THEN
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
"""
WATCH = """
DROP TRIGGER membership_updates_are_noted ON annotation_membership;
CREATE TRIGGER membership_updates_are_noted
    AFTER UPDATE OF {columns} ON annotation_membership
    FOR EACH ROW EXECUTE FUNCTION annotation_note_change('member', 'id', '{names}');
"""
BEFORE = ["role", "paused_at", "qualification"]
NOW = [*BEFORE, "revoked_at"]
KINDS = [
    *("project", "member", "instructions", "terms", "prompt", "takedown", "import"),
    "withdrawal",
]


def _watching(columns):
    return WATCH.format(columns=", ".join(columns), names=" ".join(columns))


class Migration(migrations.Migration):

    dependencies = [
        ("annotation", "0013_imports_are_kept"),
    ]

    operations = [
        migrations.AlterField(
            model_name="change",
            name="kind",
            field=models.CharField(choices=[("project", "Project and settings"), ("member", "Members"), ("instructions", "Instructions"), ("terms", "Terms"), ("prompt", "Prompts taken out"), ("takedown", "Prompts taken down"), ("import", "Imports"), ("withdrawal", "Rankings withdrawn")], max_length=20),
        ),
        migrations.RemoveConstraint(model_name="change", name="change_words_are_known"),
        migrations.AddConstraint(
            model_name="change",
            constraint=models.CheckConstraint(condition=models.Q(("kind__in", KINDS), ("action__in", ["made", "changed", "ended"])), name="change_words_are_known"),
        ),
        # The function as it is here serves the triggers of before as well.
        migrations.RunSQL(FUNCTION, migrations.RunSQL.noop),
        migrations.RunSQL(_watching(NOW), _watching(BEFORE)),
    ]
