"""Responses and instructions never change once they are there."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION annotation_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% never changes: make a new one', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER responses_never_change BEFORE UPDATE OR DELETE ON annotation_response
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
CREATE TRIGGER instructions_never_change
    BEFORE UPDATE OR DELETE ON annotation_instructions
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
"""

BACKWARD = """
DROP TRIGGER instructions_never_change ON annotation_instructions;
DROP TRIGGER responses_never_change ON annotation_response;
DROP FUNCTION annotation_is_immutable();
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
