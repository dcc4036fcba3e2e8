"""What labelers were shown never changes: prompts' texts, responses, instructions."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION annotation_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% never changes: make a new one', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER responses_never_change BEFORE UPDATE OR DELETE ON annotation_response
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
CREATE TRIGGER prompts_keep_their_text
    BEFORE UPDATE OF messages, external_id, project_id ON annotation_prompt
    FOR EACH ROW
    WHEN ((OLD.messages, OLD.external_id, OLD.project_id)
          IS DISTINCT FROM (NEW.messages, NEW.external_id, NEW.project_id))
    EXECUTE FUNCTION annotation_is_immutable();
CREATE TRIGGER prompts_stay BEFORE DELETE ON annotation_prompt
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
CREATE TRIGGER instructions_never_change
    BEFORE UPDATE OR DELETE ON annotation_instructions
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
"""

BACKWARD = """
DROP TRIGGER instructions_never_change ON annotation_instructions;
DROP TRIGGER prompts_stay ON annotation_prompt;
DROP TRIGGER prompts_keep_their_text ON annotation_prompt;
DROP TRIGGER responses_never_change ON annotation_response;
DROP FUNCTION annotation_is_immutable();
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
