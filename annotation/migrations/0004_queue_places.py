"""Places of the queue in the order of arrival, and rows that never change.

A place (`Assignment.seq`) is made of 7 bits of priority, 28 bits of arrival (a
sequence, one number for every batch or row that comes) and 28 random bits, so that
the order within a batch says nothing of the file it came from.
"""

from django.db import migrations

FORWARD = """
CREATE SEQUENCE annotation_queue_arrival MAXVALUE 268435455;

-- Slots of before have priority 0 and arrived first.
UPDATE annotation_assignment SET seq = (50::bigint << 56) | (seq & 268435455);

CREATE TRIGGER terms_never_change BEFORE UPDATE OR DELETE ON annotation_terms
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
CREATE TRIGGER consent_never_changes BEFORE UPDATE OR DELETE ON annotation_consent
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
CREATE TRIGGER skips_never_change BEFORE UPDATE OR DELETE ON annotation_skip
    FOR EACH ROW EXECUTE FUNCTION annotation_is_immutable();
"""

BACKWARD = """
DROP TRIGGER skips_never_change ON annotation_skip;
DROP TRIGGER consent_never_changes ON annotation_consent;
DROP TRIGGER terms_never_change ON annotation_terms;
DROP SEQUENCE annotation_queue_arrival;
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0003_workbench_and_queue")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
