"""The check that placements name no strangers looks up each by its keys.

As a join it was planned anew by whoever asked first, on a fresh site without statistics
as a scan of every table; kept for the session, that made a first large import of
rankings quadratic.
"""

from django.db import migrations

FUNCTION = """
CREATE OR REPLACE FUNCTION placements_stay_in_their_prompt() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS ({strangers})
    THEN
        RAISE EXCEPTION 'a placement names a response of another prompt'
            USING ERRCODE = 'integrity_constraint_violation',
                  CONSTRAINT = 'a_placement_stays_in_its_prompt';
    END IF;
    RETURN NULL;
END $$;
"""
ONE_BY_ONE = """
        SELECT FROM added
        WHERE (SELECT prompt_id FROM annotation_response WHERE id = added.response_id)
           <> (SELECT prompt_id FROM annotation_assignment WHERE id = (
                   SELECT assignment_id FROM ranking_ranking
                   WHERE id = added.ranking_id))"""
JOINED = """
        SELECT 1 FROM added
        JOIN ranking_ranking r ON r.id = added.ranking_id
        JOIN annotation_assignment a ON a.id = r.assignment_id
        JOIN annotation_response response ON response.id = added.response_id
        WHERE response.prompt_id <> a.prompt_id"""


class Migration(migrations.Migration):
    dependencies = [("ranking", "0013_tables_name_their_columns")]

    operations = [
        migrations.RunSQL(
            FUNCTION.format(strangers=ONE_BY_ONE), FUNCTION.format(strangers=JOINED)
        )
    ]
