"""That a labeler's rankings are withdrawn, and count again, is in the history.

Not the reason: it may name the labeler, and the history cannot forget anybody.
"""

from django.db import migrations

FORWARD = """
CREATE TRIGGER withdrawal_inserts_are_noted AFTER INSERT ON ranking_withdrawal
    FOR EACH ROW EXECUTE FUNCTION
    annotation_note_change('withdrawal', 'labeler_id', '', 'withdrawn_by_id');
CREATE TRIGGER withdrawal_ends_are_noted AFTER UPDATE OF ended_at ON ranking_withdrawal
    FOR EACH ROW EXECUTE FUNCTION
    annotation_note_change('withdrawal', 'labeler_id', 'ended_at', 'ended_by_id');
"""

BACKWARD = """
DROP TRIGGER withdrawal_ends_are_noted ON ranking_withdrawal;
DROP TRIGGER withdrawal_inserts_are_noted ON ranking_withdrawal;
"""


class Migration(migrations.Migration):

    dependencies = [
        ("annotation", "0014_removals_are_noted"),
        ("ranking", "0007_dataset_losses"),
    ]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
