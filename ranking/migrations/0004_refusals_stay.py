"""What was refused stays as it was sent."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER refusals_are_append_only
    BEFORE UPDATE OR DELETE ON ranking_refusedsubmission
    FOR EACH ROW EXECUTE FUNCTION ranking_is_append_only();
"""

BACKWARD = "DROP TRIGGER refusals_are_append_only ON ranking_refusedsubmission;"


class Migration(migrations.Migration):
    dependencies = [("ranking", "0003_ratings_drafts_refusals")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
