"""Rankings are append-only, complete and dense: the database itself sees to it."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION ranking_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: a correction is a new revision', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER rankings_are_append_only BEFORE UPDATE OR DELETE ON ranking_ranking
    FOR EACH ROW EXECUTE FUNCTION ranking_is_append_only();
CREATE TRIGGER placements_are_append_only BEFORE UPDATE OR DELETE ON ranking_placement
    FOR EACH ROW EXECUTE FUNCTION ranking_is_append_only();
CREATE TRIGGER datasets_never_change BEFORE UPDATE OR DELETE ON ranking_dataset
    FOR EACH ROW EXECUTE FUNCTION ranking_is_append_only();
CREATE TRIGGER a_prompt_keeps_its_split BEFORE UPDATE OR DELETE ON ranking_promptsplit
    FOR EACH ROW EXECUTE FUNCTION ranking_is_append_only();
CREATE TRIGGER datasets_hold_what_they_held
    BEFORE UPDATE OR DELETE ON ranking_datasetranking
    FOR EACH ROW EXECUTE FUNCTION ranking_is_append_only();

-- At commit: every response of the prompt stands in the ranking exactly once (the
-- unique constraint forbids twice), none is a stranger's, and the ranks are 1..T.
CREATE FUNCTION ranking_is_complete() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    the_ranking bigint := NEW.id;
    the_prompt bigint;
    revised_assignment bigint;
    own_assignment bigint;
    wrong bigint;
    highest int;
    tiers int;
BEGIN
    SELECT a.prompt_id, r.assignment_id, (
            SELECT previous.assignment_id FROM ranking_ranking previous
            WHERE previous.id = r.revises_id)
        INTO the_prompt, own_assignment, revised_assignment
        FROM ranking_ranking r JOIN annotation_assignment a ON a.id = r.assignment_id
        WHERE r.id = the_ranking;
    IF revised_assignment IS NOT NULL AND revised_assignment <> own_assignment THEN
        RAISE EXCEPTION 'ranking % revises a ranking of another assignment', the_ranking
            USING ERRCODE = 'integrity_constraint_violation',
                  CONSTRAINT = 'a_revision_stays_in_its_assignment';
    END IF;
    SELECT count(*) INTO wrong FROM (
        SELECT id FROM annotation_response WHERE prompt_id = the_prompt) response
        FULL JOIN (
        SELECT response_id FROM ranking_placement WHERE ranking_id = the_ranking) placed
        ON placed.response_id = response.id
        WHERE placed.response_id IS NULL OR response.id IS NULL;
    SELECT coalesce(max(rank), 0), count(DISTINCT rank) INTO highest, tiers
        FROM ranking_placement WHERE ranking_id = the_ranking;
    IF wrong > 0 OR highest <> tiers OR tiers = 0 THEN
        RAISE EXCEPTION 'ranking % is incomplete, names a stranger or has gaps',
            the_ranking
            USING ERRCODE = 'integrity_constraint_violation',
                  CONSTRAINT = 'a_ranking_places_every_response';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER rankings_place_every_response
    AFTER INSERT ON ranking_ranking DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ranking_is_complete();

-- A ranking of an earlier transaction is complete, so the unique constraint keeps
-- its own responses out; this keeps strangers out. One check for each statement.
CREATE FUNCTION placements_stay_in_their_prompt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM added
        JOIN ranking_ranking r ON r.id = added.ranking_id
        JOIN annotation_assignment a ON a.id = r.assignment_id
        JOIN annotation_response response ON response.id = added.response_id
        WHERE response.prompt_id <> a.prompt_id)
    THEN
        RAISE EXCEPTION 'a placement names a response of another prompt'
            USING ERRCODE = 'integrity_constraint_violation',
                  CONSTRAINT = 'a_placement_stays_in_its_prompt';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER placements_name_no_strangers AFTER INSERT ON ranking_placement
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION placements_stay_in_their_prompt();
"""

BACKWARD = """
DROP TRIGGER placements_name_no_strangers ON ranking_placement;
DROP TRIGGER rankings_place_every_response ON ranking_ranking;
DROP TRIGGER a_prompt_keeps_its_split ON ranking_promptsplit;
DROP TRIGGER datasets_never_change ON ranking_dataset;
DROP TRIGGER datasets_hold_what_they_held ON ranking_datasetranking;
DROP TRIGGER placements_are_append_only ON ranking_placement;
DROP TRIGGER rankings_are_append_only ON ranking_ranking;
DROP FUNCTION placements_stay_in_their_prompt();
DROP FUNCTION ranking_is_complete();
DROP FUNCTION ranking_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("ranking", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
